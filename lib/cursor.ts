/** A position in the log of one epoch. A client that sends a cursor has received every event up to this position. */
export interface Cursor {
  epoch: string
  pos: number
}

/** Returns the text of a cursor, which clients store but do not parse: `<epoch>.<pos in base 36>`. */
export function formatCursor({ epoch, pos }: Cursor): string {
  return `${epoch}.${pos.toString(36)}`
}

/** Parses a cursor that a client sent. Returns null when the text is malformed. */
export function parseCursor(text: string): Cursor | null {
  const [, epoch, pos] = /^([0-9a-f]{12})\.([0-9a-z]{1,10})$/.exec(text) ?? []
  return epoch && pos ? { epoch, pos: Number.parseInt(pos, 36) } : null
}
