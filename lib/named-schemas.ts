/** Keywords whose value is data, in which `title` is not a keyword. */
const DATA = new Set(['default', 'enum', 'const', 'example', 'examples'])

/**
 * Replaces every schema that has a title by a reference to `#/components/schemas/<title>`. Returns the new document
 * and the schemas by title. When different schemas share a title, only the first is replaced.
 */
export function extractNamedSchemas<Document>(document: Document) {
  const schemas: Record<string, object> = {}

  function walk(node: unknown): unknown {
    if (Array.isArray(node)) return node.map(walk)
    if (typeof node !== 'object' || node === null) return node
    const copy = Object.fromEntries(
      Object.entries(node).map(([key, value]) => [key, DATA.has(key) ? value : walk(value)])
    )
    const { title } = copy
    // A property named `title` is a schema, not a string.
    if (typeof title !== 'string') return copy
    schemas[title] ??= copy
    const isDifferent = JSON.stringify(schemas[title]) !== JSON.stringify(copy)
    return isDifferent ? copy : { $ref: `#/components/schemas/${title}` }
  }

  return { document: walk(document) as Document, schemas }
}
