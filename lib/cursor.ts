/** A place in the log: which life of the database, and the last position seen there. */
export interface Cursor {
  epoch: string
  pos: number
}

/** The opaque ASCII form that clients keep: `<epoch>.<pos in base 36>`. */
export function formatCursor({ epoch, pos }: Cursor): string {
  return `${epoch}.${pos.toString(36)}`
}

/** The cursor that a client sent back, or null when it is none of ours. */
export function parseCursor(text: string): Cursor | null {
  const [, epoch, pos] = /^([0-9a-f]{12})\.([0-9a-z]{1,10})$/.exec(text) ?? []
  return epoch && pos ? { epoch, pos: Number.parseInt(pos, 36) } : null
}
