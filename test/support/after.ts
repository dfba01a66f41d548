import { runFolder, stopCluster } from './cluster.ts'

await stopCluster(runFolder)
