/** The ways in which a client disconnects: with a FIN, with a RST, or silently, like a phone without reception. */
export const disconnects = ['end', 'reset', 'silence'] as const
export type Disconnect = (typeof disconnects)[number]
