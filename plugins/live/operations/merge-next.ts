import { isStorable } from '../../../lib/check-operation.ts'
import { mergeText } from '../../../lib/merge-text.ts'
import type { Task } from './task.ts'

/** Merges the text of the next operation of a task with the current text that the database returned (`liveText`). */
export function mergeNext(task: Task) {
  const live = task.liveText
  task.liveText = undefined
  const change = textChange(task)
  if (live === undefined || !change) return
  const merged = mergeText(change.from, live, change.to)
  const isValid = merged !== null && isStorable(change.field, merged.value)
  task.merge = { live, ...(isValid ? merged : { value: null }) }
}

/** A change of the text of an item, or of the title of a checklist. */
interface TextChange {
  field: 'text' | 'title'
  from: string
  to: string
}

function textChange({ steps, results }: Task): TextChange | undefined {
  const step = steps[results.length]
  const op = step && 'op' in step.checked ? step.checked.op : undefined
  if (op?.kind === 'list.rename') return { field: 'title', from: op.from, to: op.to }
  if (op?.kind === 'item.set' && op.set.text) return { field: 'text', ...op.set.text }
}
