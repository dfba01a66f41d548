import { memoize } from '../../../lib/memoize.ts'
import type { Peer } from '../../../schemas/presence.ts'

/** `joinedAt` is in milliseconds since 1970. Immutable: the same object means that nothing has changed. */
export type JoinedPeer = readonly [joinedAt: number, peer: Peer]

/** Joined peers by the id of their connection. */
export type JoinedPeers = ReadonlyMap<string, JoinedPeer>

export const noPeers: JoinedPeers = new Map()

export const peerJson = memoize(([, peer]: JoinedPeer) => JSON.stringify(peer))

/** Returns the JSON of a joined peer, as the table `presence` stores it. */
export const joinedPeerJson = (joined: JoinedPeer) => `[${joined[0]},${peerJson(joined)}]`
