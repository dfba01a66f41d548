import { mergeText as merge } from '../../lib/merge-text.ts'

/** Returns the merged text, or null for a conflict. */
export function mergedText(...texts: [string, string, string]): string | null {
  return merge(...texts)?.value ?? null
}

/** Returns the parts of a merge with their text. */
export function mergedParts(...texts: [string, string, string]) {
  const { value, parts } = merge(...texts) ?? { value: '', parts: [] }
  let end = 0
  return parts.map(({ length, by }) => {
    end += length
    return { text: value.slice(end - length, end), by }
  })
}
