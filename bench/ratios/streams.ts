import { compareFanout } from '../support/fanout.ts'

/*
 * Compares the delivery of changes to streams with node:http, by `response.write` and by prebuilt chunks to the TCP
 * socket, and with FastAPI.
 */
await compareFanout('stream', ['res.write', 'socket.write', 'FastAPI'])
