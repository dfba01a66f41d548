export { openStream } from './support/client.ts'
