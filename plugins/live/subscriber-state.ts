/**
 * The states of a subscriber, such as a stream or a subscription of a socket. `catching_up`: it reads past events.
 * `live`: it receives events as they are committed. `lagging`: it receives nothing until the client has received all
 * unsent bytes; then it catches up again. `closed`: it receives nothing any more.
 */
export type SubscriberState = 'catching_up' | 'live' | 'lagging' | 'closed'
