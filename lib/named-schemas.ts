/** Keys whose value is an example or a constant, so that a title in it is data. */
const DATA = new Set(['default', 'enum', 'const', 'example', 'examples'])

/**
 * Moves every schema with a title out of a document: the document with references to
 * `#/components/schemas/<title>` in their places, and the schemas by title. Of different schemas
 * with one title the first is named, the others stay where they are.
 */
export function nameSchemas<Document>(document: Document) {
  const schemas: Record<string, object> = {}

  function walk(node: unknown): unknown {
    if (Array.isArray(node)) return node.map(walk)
    if (typeof node !== 'object' || node === null) return node
    const copy = Object.fromEntries(
      Object.entries(node).map(([key, value]) => [key, DATA.has(key) ? value : walk(value)])
    )
    const { title } = copy
    // A property called title is a schema, not a text.
    if (typeof title !== 'string') return copy
    schemas[title] ??= copy
    const isAnother = JSON.stringify(schemas[title]) !== JSON.stringify(copy)
    return isAnother ? copy : { $ref: `#/components/schemas/${title}` }
  }

  return { document: walk(document) as Document, schemas }
}
