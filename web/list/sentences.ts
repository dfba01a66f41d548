import type { Notices, Operation, Result, View } from '../../client/index.ts'
import { plural } from '../text.ts'
import { formatDate } from './days.ts'

/** A part of the report about an absence. `show` names what a button next to it shows. */
export interface ReportPart {
  text: string
  show?: 'conflicts' | 'lost'
}

/** Returns the parts of the report after an absence, at least the number of changes that were sent. */
export function reportAbsence(notice: Notices['caughtUp']): ReportPart[] {
  const { sent, merged, conflicts, dropped, rejected, changesOfOthers } = notice
  const parts: ReportPart[] = [{ text: `${plural(sent, '1 change', '# changes')} sent` }]
  if (changesOfOthers > 0)
    parts.push({ text: `${plural(changesOfOthers, '1 change', '# changes')} by others` })
  if (merged > 0) parts.push({ text: `${merged} combined with changes of others` })
  if (conflicts > 0)
    parts.push({
      text: conflicts === 1 ? '1 needs your decision' : `${conflicts} need your decision`,
      show: 'conflicts'
    })
  if (dropped > 0)
    parts.push({
      text: dropped === 1 ? '1 line was deleted' : `${dropped} lines were deleted`,
      show: 'lost'
    })
  if (rejected > 0) parts.push({ text: `${rejected} not accepted`, show: 'lost' })
  return parts
}

/** Returns why an operation changed nothing, as a sentence. `line` is the text of the line, if it is known. */
export function reasonOf({ outcome, code }: Result, op: Operation, line?: string): string {
  if (outcome === 'dropped')
    return line ? `The line “${line}” was deleted meanwhile.` : 'The line was deleted meanwhile.'
  if (op.kind === 'conflict.resolve' && code === 'stale')
    return 'The line has changed meanwhile. Please decide again.'
  if (op.kind === 'list.restoreTo') return 'The list has changed meanwhile. Please try again.'
  if (op.kind === 'list.delete') return 'Others have changed the list meanwhile.'
  return reasons[code ?? 'invalid'] ?? 'The service did not accept a change.'
}

const reasons: Partial<Record<NonNullable<Result['code']>, string>> = {
  limit: 'The list is full.',
  not_found: 'The line does not exist any more.',
  forbidden: 'You may not change this list.',
  list_deleted: 'The list was deleted meanwhile.',
  changed_since: 'Others have changed the list meanwhile.',
  stale: 'It has changed meanwhile.',
  item_deleted: 'The line was deleted meanwhile.'
}

/** Returns the text that an operation contains, so that the user can copy it. Returns '' when it has none. */
export function textOf(op: Operation): string {
  switch (op.kind) {
    case 'item.add':
      return op.items?.map(({ text }) => text).join('\n') ?? op.text ?? ''
    case 'item.set':
      return op.set.text?.to ?? ''
    case 'list.rename':
      return op.to
    case 'conflict.resolve':
      return op.value ?? ''
    default:
      return ''
  }
}

/** Returns unsent operations as a text for the clipboard, a line for each. */
export function describeUnsent(ops: readonly Operation[], view: View | undefined): string {
  const nameOf = (id: string) => `“${view?.items.find(item => item.id === id)?.text ?? 'a line'}”`
  return ops.flatMap(op => describe(op, nameOf)).join('\n')
}

function describe(op: Operation, nameOf: (id: string) => string): string[] {
  switch (op.kind) {
    case 'item.add':
      return textOf(op)
        .split('\n')
        .map(text => `Add: ${text}`)
    case 'item.set': {
      const { text, done, dueOn } = op.set
      const name = text ? `“${text.from}”` : nameOf(op.itemId)
      return [
        ...(text ? [`Change ${name} to: ${text.to}`] : []),
        ...(done ? [`${done.to ? 'Tick' : 'Untick'} ${name}`] : []),
        ...(dueOn ? [`Date of ${name}: ${dueOn.to === null ? 'none' : formatDate(dueOn.to)}`] : [])
      ]
    }
    case 'item.delete':
      return [`Delete: ${op.seen.text}`]
    case 'item.move':
      return [`Move ${nameOf(op.itemId)}`]
    case 'item.restore':
      return [`Restore ${nameOf(op.itemId)}`]
    case 'list.rename':
      return [`Title: ${op.to}`]
    case 'conflict.resolve':
      return op.value ? [`Decision: ${op.value}`] : []
    default:
      return []
  }
}
