/*
 * The service worker. Stores the files of the page, so that a reload works without a network. Requests of the API, the
 * stream and the socket never pass through it.
 */
declare const FILES: string[]
declare const VERSION: string

/** The part of a service worker that is used here: its types exclude those of a page. */
interface Worker {
  skipWaiting(): Promise<void>
  clients: { claim(): Promise<void> }
  addEventListener(
    type: string,
    run: (event: {
      request: Request
      waitUntil(done: Promise<unknown>): void
      respondWith(response: Promise<Response>): void
    }) => void
  ): void
}

const worker = self as unknown as Worker
const cacheName = `concord-${VERSION}`
/** time after which a network that does not respond counts as no network */
const timeoutMs = 4000

worker.addEventListener('install', event => {
  event.waitUntil(
    caches
      .open(cacheName)
      .then(cache => cache.addAll(FILES.map(url => new Request(url, { cache: 'no-cache' }))))
      .then(() => worker.skipWaiting())
  )
})

worker.addEventListener('activate', event => {
  event.waitUntil(
    caches
      .keys()
      .then(names => Promise.all(names.filter(isOld).map(name => caches.delete(name))))
      .then(() => worker.clients.claim())
  )
})

worker.addEventListener('fetch', event => {
  const { request } = event
  const { pathname, origin } = new URL(request.url)
  if (origin !== location.origin) return
  if (request.mode === 'navigate' && pathname === '/') event.respondWith(openPage())
  else if (pathname.startsWith('/assets/')) event.respondWith(loadAsset(request))
})

/** Returns the page of the service, or the stored one when the service cannot be reached. */
async function openPage(): Promise<Response> {
  try {
    const response = await fetch('/', { signal: AbortSignal.timeout(timeoutMs) })
    if (response.ok) return response
    return (await caches.match('/')) ?? response
  } catch (error) {
    const stored = await caches.match('/')
    if (stored) return stored
    throw error
  }
}

async function loadAsset(request: Request): Promise<Response> {
  // Responses vary by origin, but the name of a file says what is in it.
  const stored = await caches.match(request, { ignoreVary: true })
  if (stored) return stored
  const response = await fetch(request)
  if (response.ok) await (await caches.open(cacheName)).put(request, response.clone())
  return response
}

function isOld(name: string): boolean {
  return name.startsWith('concord-') && name !== cacheName
}
