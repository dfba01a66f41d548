import { useEffect, useState } from 'preact/hooks'
import type { Change } from '../../client/index.ts'
import { describeError } from '../errors.ts'
import { Button } from '../parts/button.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { Loading, Notice } from '../parts/empty.tsx'
import { Time } from '../parts/time.tsx'
import { type HistoryEntry, toEntries } from './history-entries.ts'
import type { Model, ModelParts } from './model.ts'
import type { Row } from './row.ts'
import { Words } from './words.tsx'

const pageSize = 100

interface HistoryProps {
  model: Model
  /** null for the history of the whole list */
  row: Row | null
  onMessage: ModelParts['onMessage']
  onClose: () => void
}

/** The changes of a line or of the list, the newest first. New ones appear while it is open. */
export function HistoryPanel({ model, row, onMessage, onClose }: HistoryProps) {
  const { list } = model
  const itemId = row?.id ?? undefined
  const [changes, setChanges] = useState<readonly Change[] | null>(null)
  const [hasMore, setMore] = useState(false)
  const [error, setError] = useState('')
  const text = row?.line.value?.text

  const load = (before?: number) => {
    setError('')
    list
      .history({ itemId, before, limit: pageSize })
      .then(page => {
        setChanges(known => [...page.changes, ...(before === undefined ? [] : (known ?? []))])
        setMore(page.more)
      })
      .catch(thrown => setError(describeError(thrown)))
  }

  // biome-ignore lint/correctness/useExhaustiveDependencies: the panel shows one history as long as it is open
  useEffect(() => {
    load()
    return list.on('change', ({ change }) => {
      const isShown = itemId === undefined || change.itemId === itemId
      if (isShown) setChanges(known => known && [...known, change])
    })
  }, [])

  const restore = (entry: HistoryEntry) => {
    if (row) restoreLine(entry)
    else if (entry.isDeletion && entry.itemId) model.attempt(() => list.restore(entry.itemId ?? ''))
    else restoreList(entry)
  }

  const restoreLine = ({ text }: HistoryEntry) => {
    model.attempt(() => {
      if (!itemId) return
      if (!model.view.value?.items.some(({ id }) => id === itemId)) list.restore(itemId)
      if (text !== undefined) list.set(itemId, { text })
    })
  }

  const restoreList = ({ rev }: HistoryEntry) => {
    const newest = model.view.value?.rev ?? 0
    model.attempt(() => {
      list.restoreTo(rev).settled.then(({ outcome }) => {
        if (outcome !== 'applied') return
        const undo = () => model.attempt(() => list.restoreTo(newest))
        onMessage('The list is as it was then', { label: 'Undo', run: undo })
      })
    })
    onClose()
  }

  const entries = toEntries(changes ?? [], model.nameOf)
  const [newest] = entries
  const canRestore = (entry: HistoryEntry) => {
    if (!model.canWrite.value) return ''
    if (!row) return entry.isDeletion ? 'Restore line' : entry === newest ? '' : 'Restore list'
    if (entry.isDeletion) return entry === newest ? 'Restore line' : ''
    return entry.text !== undefined && entry.text !== text ? 'Restore' : ''
  }
  return (
    <Dialog
      class="history"
      title={row ? `History of “${shorten(text ?? '')}”` : 'History of the list'}
      onClose={onClose}
    >
      {error && (
        <Notice kind="warning">
          {error}{' '}
          <button type="button" class="link" onClick={() => load()}>
            Try again
          </button>
        </Notice>
      )}
      {!changes && !error && <Loading label="Loading the history" />}
      <ol class="entries">
        {entries.map(entry => (
          <Entry
            key={entry.rev}
            entry={entry}
            label={canRestore(entry)}
            onRestore={() => restore(entry)}
          />
        ))}
      </ol>
      {changes && (
        <p class="history-end">
          {hasMore ? (
            <Button onClick={() => load(changes[0]?.rev)}>Show older changes</Button>
          ) : (
            <span class="soft small">{endOf(changes)}</span>
          )}
        </p>
      )}
    </Dialog>
  )
}

interface EntryProps {
  entry: HistoryEntry
  label: string
  onRestore: () => void
}

function Entry({ entry, label, onRestore }: EntryProps) {
  const { who, what, at, source, pieces } = entry
  return (
    <li class="entry">
      <p class="entry-head">
        <strong>{who}</strong> {what}
        {source && ` ${source}`}
        <Time value={at} />
      </p>
      {pieces.length > 0 && (
        <p class="entry-text">
          <Words pieces={pieces} />
        </p>
      )}
      {label && (
        <button type="button" class="link entry-restore" onClick={onRestore}>
          {label}
        </button>
      )}
    </li>
  )
}

function endOf(changes: readonly Change[]): string {
  const [first] = changes
  if (!first) return 'No changes are kept.'
  const isStart = first.kind === 'checklist.created' || first.kind === 'item.added'
  return isStart ? 'This is where it began.' : 'Older changes are not kept.'
}

const shorten = (text: string) => (text.length > 40 ? `${text.slice(0, 39).trimEnd()}…` : text)
