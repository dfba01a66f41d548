import { compareFanout } from '../support/fanout.ts'

/* Compares the delivery of changes to WebSockets with `ws`: `send`, and prebuilt frames to the TCP socket. */
await compareFanout('socket', ['ws.send', 'frame'])
