/**
 * The states of a subscriber, such as a stream or the subscription of a socket: `catching_up` reads past events, `live`
 * receives events as they are committed, `lagging` receives nothing until the client has read what was sent, then catches up
 * again, `closed` is the end.
 */
export type SubscriberState = 'catching_up' | 'live' | 'lagging' | 'closed'
