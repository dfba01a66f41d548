import { effect, signal } from '@preact/signals'
import { showToast } from './parts/toast.tsx'
import { connection } from './state.ts'

const isOld = signal(false)

/**
 * Offers to reload when the service has another version of the page. A new version restarts the service, so it is checked
 * after each reconnect. Waits while a reload would lose changes.
 */
export function watchVersion() {
  let before = connection.peek().state
  effect(() => {
    const { state } = connection.value
    if (state === 'live' && before === 'offline') check()
    if (state === 'live' || state === 'offline') before = state
  })
  effect(() => {
    const { isStored, unsent } = connection.value
    if (!isOld.value || (unsent > 0 && !isStored)) return
    showToast('There is a new version of this page.', {
      label: 'Reload',
      run: () => location.reload()
    })
  })
}

async function check() {
  const own = document.querySelector<HTMLScriptElement>('script[src]')?.getAttribute('src') ?? ''
  try {
    const response = await fetch('/', { cache: 'no-cache' })
    if (response.ok && !(await response.text()).includes(own)) isOld.value = true
  } catch {
    // The next reconnect checks again.
  }
}
