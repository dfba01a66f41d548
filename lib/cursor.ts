/** A position in the log of one epoch. A client has received every event up to it. */
export interface Cursor {
  epoch: string
  pos: number
}

/** Returns the form that clients store: `<epoch>.<pos in base 36>`, opaque to them. */
export function formatCursor({ epoch, pos }: Cursor): string {
  return `${epoch}.${pos.toString(36)}`
}

/** Parses a cursor that a client sent. Returns null when it is malformed. */
export function parseCursor(text: string): Cursor | null {
  const [, epoch, pos] = /^([0-9a-f]{12})\.([0-9a-z]{1,10})$/.exec(text) ?? []
  return epoch && pos ? { epoch, pos: Number.parseInt(pos, 36) } : null
}
