/** An event of the log. `before` and `after` stay the JSON text that PostgreSQL made: most are only passed on. */
export interface Loggable {
  pos: number
  kind: string
  projectId: string | null
  checklistId: string | null
  rev: number | null
  itemId: string | null
  userId: string | null
  before: string | null
  after: string | null
  actorId: string | null
  opId: string | null
  source: string
  at: Date
}

/** Remembers what `make` made of an object for as long as the object lives: an event is serialised memoize. */
export function memoize<T extends object, R>(make: (of: T) => R): (of: T) => R {
  const made = new WeakMap<T, R>()
  return of => {
    let value = made.get(of)
    if (value === undefined) {
      value = make(of)
      made.set(of, value)
    }
    return value
  }
}

/** The `data` of an event on `GET /events`. */
export function feedJson(event: Loggable): string {
  const {
    kind,
    projectId,
    checklistId,
    rev,
    itemId,
    userId,
    before,
    after,
    actorId,
    opId,
    source
  } = event
  const type = kind
  const { at } = event
  if (kind.startsWith('member.')) {
    const { role, project } = JSON.parse(after ?? before ?? '{}')
    return JSON.stringify({ type, projectId, userId, role, project, actorId, opId, source, at })
  }
  if (checklistId === null) {
    return withTexts(
      { type, projectId, actorId, opId, source, at },
      { before, after, project: after ?? before }
    )
  }
  const item = itemId === null ? {} : { itemId }
  return withTexts(
    { type, projectId, checklistId, rev, ...item, actorId, opId, source, at },
    { before, after }
  )
}

/** A `Change` of a checklist, as `GET /checklists/:id/changes` and the socket's `changes` carry it. */
export function changeJson({
  rev,
  kind,
  itemId,
  before,
  after,
  actorId,
  opId,
  source,
  at
}: Loggable): string {
  const item = itemId === null ? {} : { itemId }
  return withTexts({ rev, kind, ...item, actorId, opId, source, at }, { before, after })
}

/** The bytes of one Server-Sent Event. `data` is JSON, which holds no line break. */
export function sseBytes(type: string, id: string | null, data: string): Buffer {
  return Buffer.from(`event: ${type}\n${id === null ? '' : `id: ${id}\n`}data: ${data}\n\n`)
}

// JSON that PostgreSQL made is passed on as it is: parsing and printing it again would cost more than the rest.
function withTexts(fields: object, texts: Record<string, string | null>): string {
  const rest = Object.entries(texts)
    .filter(([, json]) => json !== null)
    .map(([name, json]) => `,${JSON.stringify(name)}:${json}`)
  return `${JSON.stringify(fields).slice(0, -1)}${rest.join('')}}`
}
