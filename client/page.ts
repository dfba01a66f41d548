/** The parts of a browser page that are used here. They are undefined outside browsers, as are their types. */
interface Page {
  document?: EventTarget & { readonly visibilityState: string }
  window?: EventTarget
}

const { document, window } = globalThis as unknown as Page

export function isPageVisible(): boolean {
  return document?.visibilityState === 'visible'
}

/** Calls `run` for events of the document or, with `pageshow`, `pagehide` and `online`, of the window. */
export function onPageEvent(type: string, run: (event: { persisted?: boolean }) => void) {
  const target = /^page|^online/.test(type) ? window : document
  target?.addEventListener(type, run as never)
  return () => target?.removeEventListener(type, run as never)
}
