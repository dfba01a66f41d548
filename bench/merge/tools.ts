import { diffChars } from 'diff'
import DiffMatchPatch from 'diff-match-patch'
import { diff3Merge } from 'node-diff3'
import * as Y from 'yjs'
import { mergeText } from '../../lib/merge-text.ts'
import { tokenize } from '../../lib/words.ts'

/** Merges texts three-way. Returns null for a conflict. */
export type Merge = (base: string, live: string, wanted: string) => string | null

const diff3: Merge = (base, live, wanted) => {
  const regions = diff3Merge(tokenize(live), tokenize(base), tokenize(wanted))
  return regions.some(region => region.conflict)
    ? null
    : regions.flatMap(region => region.ok ?? []).join('')
}

const patches = new DiffMatchPatch()
const patch: Merge = (base, live, wanted) => {
  const [text, applied] = patches.patch_apply(patches.patch_make(base, wanted), live)
  return applied.every(Boolean) ? text : null
}

const yjs: Merge = (base, live, wanted) => {
  const original = createDocument(1)
  original.getText().insert(0, base)
  const both = [live, wanted].map((text, i) => {
    const copy = createDocument(2 + i)
    Y.applyUpdate(copy, Y.encodeStateAsUpdate(original))
    edit(copy.getText(), base, text)
    return copy
  }) as [Y.Doc, Y.Doc]
  Y.applyUpdate(both[0], Y.encodeStateAsUpdate(both[1]))
  return both[0].getText().toString()
}

function createDocument(clientID: number) {
  const doc = new Y.Doc()
  doc.clientID = clientID
  return doc
}

/** Changes a Y.Text by a minimal diff of characters, as an editor that is bound to it does. */
function edit(text: Y.Text, from: string, to: string) {
  let at = 0
  for (const { added, removed, value } of diffChars(from, to)) {
    if (removed) text.delete(at, value.length)
    else if (added) text.insert(at, value)
    if (!removed) at += value.length
  }
}

export const merges: Record<string, Merge> = {
  mergeText: (...texts) => mergeText(...texts)?.value ?? null,
  'node-diff3': diff3,
  'diff-match-patch': patch,
  'Yjs text': yjs
}
