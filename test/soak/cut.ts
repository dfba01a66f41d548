/** How a client may lose its connection: with a FIN, with a reset, or without a word, as on a train in a tunnel. */
export const cuts = ['end', 'reset', 'silence'] as const
export type Cut = (typeof cuts)[number]
