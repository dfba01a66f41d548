import { render } from 'preact'
import { App } from './app.tsx'
import { watchBrowser } from './browser-limits.ts'
import { watchVersion } from './new-version.ts'
import { startServiceWorker } from './service-worker.ts'
import { watchMemberships } from './state.ts'
import { applyTheme } from './theme.ts'

applyTheme()
watchBrowser()
watchMemberships()
watchVersion()
render(<App />, document.getElementById('app') as HTMLElement)
startServiceWorker()
