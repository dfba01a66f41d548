import { render } from 'preact'
import { App } from './app.tsx'
import { startServiceWorker } from './service-worker.ts'
import { applyTheme } from './theme.ts'

applyTheme()
render(<App />, document.getElementById('app') as HTMLElement)
startServiceWorker()
