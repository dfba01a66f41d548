import type { Checklist, Notices } from './types.ts'

type Listener = (notice: Notices[keyof Notices]) => void

/** Returns the listeners of a checklist. `hold` keeps it open as long as there is one. */
export function createNotices(hold: () => () => void) {
  const listeners = new Map<keyof Notices, Set<Listener>>()
  /** notices that are sent after the next view */
  const pending: [keyof Notices, Notices[keyof Notices]][] = []

  const on: Checklist['on'] = (type, run, { signal } = {}) => {
    const set = listeners.get(type) ?? new Set()
    listeners.set(type, set)
    const listener: Listener = notice => run(notice as never)
    set.add(listener)
    const release = hold()
    const off = () => {
      signal?.removeEventListener('abort', off)
      if (set.delete(listener)) release()
    }
    if (signal?.aborted) off()
    else signal?.addEventListener('abort', off)
    return off
  }

  return {
    on,

    add<Type extends keyof Notices>(type: Type, notice: Notices[Type]) {
      if (listeners.get(type)?.size) pending.push([type, notice])
    },

    send() {
      for (const [type, notice] of pending.splice(0))
        for (const run of [...(listeners.get(type) ?? [])]) run(notice)
    },

    clear: () => listeners.clear()
  }
}
