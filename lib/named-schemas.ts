/** Keywords whose value is data and not a schema, so a `title` inside the value is no keyword. */
const DATA = new Set(['default', 'enum', 'const', 'example', 'examples'])

/**
 * Replaces every schema that has a title by a reference to `#/components/schemas/<title>`. Returns the new document and
 * the replaced schemas by title. A schema that differs from the first one with its title stays.
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
    // `title` is not a string when it is the schema of a property with this name.
    if (typeof title !== 'string') return copy
    schemas[title] ??= copy
    const isDifferent = JSON.stringify(schemas[title]) !== JSON.stringify(copy)
    return isDifferent ? copy : { $ref: `#/components/schemas/${title}` }
  }

  return { document: walk(document) as Document, schemas }
}
