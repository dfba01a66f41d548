/** Whether this browser may have a refresh cookie, which scripts cannot see. */
export interface SessionMarker {
  isSet(): boolean
  set(isSignedIn: boolean): void
}

/**
 * Returns a marker in localStorage, which all tabs share. Where that is missing or refused, it is always set, so that a
 * client finds out with a request.
 */
export function createSessionMarker(name: string): SessionMarker {
  return {
    isSet() {
      try {
        return localStorage.getItem(name) !== null
      } catch {
        return true
      }
    },

    set(isSignedIn) {
      try {
        if (isSignedIn) localStorage.setItem(name, '1')
        else localStorage.removeItem(name)
      } catch {
        // It is refused.
      }
    }
  }
}
