/** The parts of JSON Schema that the schemas of the service use. */
export interface JsonSchema {
  description?: string
  type?: string | string[]
  const?: unknown
  enum?: unknown[]
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  not?: object
  items?: JsonSchema
  properties?: Record<string, JsonSchema>
  required?: string[]
}

/**
 * Returns the type of the values of a schema as TypeScript. `nameOf` returns the name of a schema that is declared
 * elsewhere, or undefined.
 */
export function printType(
  schema: JsonSchema,
  nameOf: (schema: JsonSchema) => string | undefined = () => undefined
): string {
  return print(schema, '')

  function print(schema: JsonSchema, indent: string): string {
    return nameOf(schema) ?? printParts(schema, indent)
  }

  function printParts(schema: JsonSchema, indent: string): string {
    if (schema.not) return 'never'
    if ('const' in schema) return literal(schema.const)
    if (schema.enum) return union(schema.enum.map(literal))
    const parts = schema.anyOf ?? schema.oneOf
    if (parts) return union(parts.map(part => print(part, indent)))
    const { type = 'unknown' } = schema
    return union([type].flat().map(name => printNamed(name, schema, indent)))
  }

  function printNamed(name: string, schema: JsonSchema, indent: string): string {
    if (name === 'integer') return 'number'
    if (name === 'array') return array(print(schema.items ?? {}, indent))
    if (name === 'object') return printObject(schema, indent)
    return name
  }

  function printObject({ properties = {}, required = [] }: JsonSchema, indent: string): string {
    const inner = `${indent}  `
    const lines = Object.entries(properties).flatMap(([key, schema]) => [
      ...printComment(schema.description, inner),
      `${inner}${property(key)}${required.includes(key) ? '' : '?'}: ${print(schema, inner)}`
    ])
    return lines.length === 0 ? '{}' : `{\n${lines.join('\n')}\n${indent}}`
  }
}

/** Returns a description as the lines of a doc comment. */
export function printComment(description: string | undefined, indent = ''): string[] {
  return description ? [`${indent}/** ${description.replaceAll('*/', '*\\/')} */`] : []
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value)
}

function property(key: string): string {
  return /^\w+$/.test(key) ? key : literal(key)
}

function array(element: string): string {
  return element.includes(' | ') ? `(${element})[]` : `${element}[]`
}

function union(parts: string[]): string {
  return [...new Set(parts)].join(' | ')
}
