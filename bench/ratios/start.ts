import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { addPostgres, compare, measure } from '../support/compare.ts'
import { readProcesses, treeSeconds } from '../support/cpu.ts'
import { createFolder } from '../support/folder.ts'
import { startService } from '../support/service.ts'

/*
 * Measures the time from the start of the process until GET /health/ready returns 200: the first start, which creates
 * an embedded database, a later one, and one with an external database. There is no peer.
 */
type Load = 'first' | 'later' | 'external'

await compare<Load>({
  title: 'Start',
  loads: {
    'first start, embedded database': 'first',
    'later start, embedded database': 'later',
    'external database': 'external'
  },
  async start(env) {
    // Creates the tables of the external database.
    await startService(env).then(service => service.stop())
    const { DATABASE_URL, ...embedded } = env
    return [
      {
        name: 'service',
        async round(load) {
          if (load === 'external') return measureStart(env)
          const folder = await createFolder()
          const own = { ...embedded, DATA_DIR: folder }
          if (load === 'later') await startService(own).then(service => service.stop())
          return measureStart(own, folder).finally(() => rm(folder, { recursive: true }))
        }
      }
    ]
  }
})

async function measureStart(env: NodeJS.ProcessEnv, folder?: string) {
  let service: Awaited<ReturnType<typeof startService>> | undefined
  const figures = await measure('start', undefined, async () => {
    const start = performance.now()
    service = await startService(env)
    for (let status = 0; status !== 200; ) {
      status = (await fetch(`${service.url}/health/ready`)).status
      if (status !== 200) await delay(5)
    }
    const ms = performance.now() - start
    if (folder) await addPostgres(folder)
    return { count: 1, ms, 'CPU ms': treeSeconds(await readProcesses(), service.pid) * 1000 }
  })
  await service?.stop()
  return figures
}
