import { computed, effect, signal } from '@preact/signals'
import { connection, session } from './state.ts'

/** a session that ends within this time after the sign-in has lost its cookie */
const lostMs = 15_000

const isCookieLost = signal(false)
let signedInAt = Number.NEGATIVE_INFINITY

/** Must be called when the user has entered email and password. */
export function onSignIn() {
  signedInAt = performance.now()
}

/** what this browser or address cannot do; null when nothing is missing */
export const browserLimit = computed(() => {
  if (!isSecureContext) return 'insecure'
  return isCookieLost.value || !navigator.cookieEnabled ? 'cookies' : null
})

/** Follows the session and the unsent changes as long as the page. */
export function watchBrowser() {
  effect(() => {
    const { value } = session
    const isExpired = value.state === 'signed-out' && value.reason === 'expired'
    if (isExpired && performance.now() - signedInAt < lostMs) isCookieLost.value = true
  })
  effect(() => {
    const { isStored, unsent } = connection.value
    if (!isStored && unsent > 0) addEventListener('beforeunload', prevent)
    else removeEventListener('beforeunload', prevent)
  })
}

/** Makes the browser ask whether to leave the page. */
function prevent(event: Event) {
  event.preventDefault()
}
