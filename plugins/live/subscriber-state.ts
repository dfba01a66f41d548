/**
 * `catching_up`: reads past events. `live`: receives events as they are committed. `lagging`: receives nothing until
 * the client has received all unsent bytes, then catches up again.
 */
export type SubscriberState = 'catching_up' | 'live' | 'lagging' | 'closed'

/**
 * The reason with which a subscriber leaves a state. Without a reason, `abort` creates an error with a stack, which took
 * a sixth of the time in which a stream opens.
 */
export const stateChanged = 'the state of the subscriber has changed'
