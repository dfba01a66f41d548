/**
 * `catching_up`: reads past events. `live`: receives events as they are committed. `lagging`: receives nothing until
 * the client has received all unsent bytes, then catches up again.
 */
export type SubscriberState = 'catching_up' | 'live' | 'lagging' | 'closed'
