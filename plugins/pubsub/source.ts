import { createLogSource, type Source, type SourceParts } from './log-source.ts'
import { createNatsSource } from './nats-source.ts'

/** Returns the source of a node: NATS when NATS_URL is set, else PostgreSQL. */
export async function createSource(app: SourceParts): Promise<Source> {
  const { nats } = app.config
  return nats ? createNatsSource(app, nats) : createLogSource(app)
}
