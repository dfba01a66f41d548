/** Registers the service worker, which makes a reload work without a network. Insecure pages have none. */
export async function startServiceWorker() {
  if (!('serviceWorker' in navigator)) return
  try {
    await navigator.serviceWorker.register(trustedUrl('/sw.js'))
  } catch (error) {
    // Private windows of some browsers refuse it: then a reload needs the network.
    console.info('without a service worker', error)
  }
}

interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string }
  ): { createScriptURL(url: string): string }
}

/** Returns the URL as the type that the policy of the page requires. It allows no other URL. */
function trustedUrl(url: '/sw.js'): string {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes }
  const policy = trustedTypes?.createPolicy('concord', { createScriptURL: () => '/sw.js' })
  return policy?.createScriptURL(url) ?? url
}
