import { memoize } from '../../../lib/memoize.ts'
import type { Peer } from '../../../schemas/presence.ts'

/** A peer and when it joined, milliseconds since 1970. Replaced, never changed: equal objects are equal peers. */
export type Present = readonly [joinedAt: number, peer: Peer]
export type Presents = ReadonlyMap<string, Present>

export const nothing: Presents = new Map()

export const peerJson = memoize(([, peer]: Present) => JSON.stringify(peer))

export const storedJson = (present: Present) => `[${present[0]},${peerJson(present)}]`
