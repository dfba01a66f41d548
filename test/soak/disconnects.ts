/** How a client loses its connection: with a FIN, with a RST, or silently, as a phone without reception. */
export const disconnects = ['end', 'reset', 'silence'] as const
export type Disconnect = (typeof disconnects)[number]
