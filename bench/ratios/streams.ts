import { compareFanout } from '../support/fanout.ts'

/* Compares the delivery of changes to streams with node:http: `response.write`, and prebuilt chunks to the TCP socket. */
await compareFanout('stream', ['res.write', 'socket.write'])
