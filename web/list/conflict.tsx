import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Change, Choice, Conflict } from '../../client/index.ts'
import { announce } from '../announce.ts'
import { Icon } from '../icons.tsx'
import { Button } from '../parts/button.tsx'
import { Time } from '../parts/time.tsx'
import { questionOf, type Side, sidesOf } from './conflict-sides.ts'
import { formatDay } from './days.ts'
import type { Model } from './model.ts'
import { diffWords, markAdded } from './word-diff.ts'
import { Words } from './words.tsx'

interface ConflictProps {
  model: Model
  conflict: Conflict
  canWrite: boolean
  /** called after this user has decided */
  onDone: () => void
}

/** A question below a line or the title: which of two values is right. Keys 1, 2 and 3 choose. */
export function ConflictQuestion({ model, conflict, canWrite, onDone }: ConflictProps) {
  const { id, field } = conflict
  const [custom, setCustom] = useState<string | null>(null)
  const changes = useChanges(model, conflict)
  const question = questionOf(conflict, model.me, model.nameOf)

  const choose = (choice: Choice) => {
    if (!model.resolve(conflict, choice)) return
    announce('Decided')
    onDone()
  }
  const sides = sidesOf(conflict, model.me, model.nameOf, changes)
  const choices: Choice[] =
    field === 'alive'
      ? ['keep', 'delete']
      : [...sides.map(({ choice }) => choice), ...(field === 'text' ? (['both'] as const) : [])]

  return (
    <fieldset
      id={`conflict-${id}`}
      class="conflict"
      tabIndex={-1}
      disabled={!canWrite}
      onKeyDown={event => {
        if (event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLInputElement)
          return
        const choice = choices[Number(event.key) - 1]
        if (!choice || event.ctrlKey || event.altKey || event.metaKey) return
        event.preventDefault()
        choose(choice)
      }}
    >
      <legend>
        <Icon name="warning" />
        {question}
      </legend>
      {field === 'alive' ? (
        <div class="conflict-actions">
          <Button onClick={() => choose('keep')}>Keep it</Button>
          <Button kind="danger" onClick={() => choose('delete')}>
            Delete it
          </Button>
        </div>
      ) : (
        <>
          <Versions sides={sides} conflict={conflict} onChoose={choose} />
          {custom === null ? (
            <div class="conflict-actions">
              {field === 'text' && <Button onClick={() => choose('both')}>Keep both</Button>}
              <Button kind="quiet" onClick={() => setCustom(sides[0].value ?? '')}>
                {field === 'dueOn' ? 'Another date…' : 'Write anew…'}
              </Button>
            </div>
          ) : (
            <WriteAnew
              isDate={field === 'dueOn'}
              value={custom}
              onSave={value => choose({ custom: value })}
              onCancel={() => {
                setCustom(null)
                document.getElementById(`conflict-${id}`)?.focus()
              }}
            />
          )}
        </>
      )}
    </fieldset>
  )
}

interface VersionsProps {
  sides: [Side, Side]
  conflict: Conflict
  onChoose: (choice: Choice) => void
}

function Versions({ sides, conflict: { field, base }, onChoose }: VersionsProps) {
  const isDate = field === 'dueOn'
  const before = typeof base === 'string' ? base : ''
  const show = (value: unknown) =>
    typeof value !== 'string' ? 'no date' : isDate ? formatDay(value) : value
  return (
    <dl class="versions">
      <div class="version">
        <dt>Before</dt>
        <dd>
          <Words pieces={beforePieces(isDate, before, sides, show(base))} />
        </dd>
      </div>
      {sides.map(({ who, value, at, choice, label }) => (
        <div class="version" key={`${choice}`}>
          <dt>
            {who}
            {at && (
              <>
                {', '}
                <Time value={at} />
              </>
            )}
          </dt>
          <dd>
            <Words
              pieces={
                isDate ? [{ kind: 'same', text: show(value) }] : markAdded(before, show(value))
              }
            />
          </dd>
          <dd class="version-action">
            <Button onClick={() => onChoose(choice)}>{label}</Button>
          </dd>
        </div>
      ))}
    </dl>
  )
}

/** Returns the text before both edits. Words that both have removed are struck through. */
function beforePieces(isDate: boolean, before: string, sides: [Side, Side], shown: string) {
  const plain = [{ kind: 'same', text: shown }] as const
  if (isDate) return plain
  const [first, second] = sides.map(({ value }) =>
    diffWords(before, value ?? '').filter(({ kind }) => kind !== 'added')
  )
  return JSON.stringify(first) === JSON.stringify(second) ? (first ?? plain) : plain
}

interface WriteAnewProps {
  isDate: boolean
  value: string
  onSave: (value: string | null) => void
  onCancel: () => void
}

function WriteAnew({ isDate, value, onSave, onCancel }: WriteAnewProps) {
  const input = useRef<HTMLInputElement & HTMLTextAreaElement>(null)
  useLayoutEffect(() => {
    input.current?.focus()
    if (!isDate) input.current?.select()
  }, [isDate])
  const save = () => {
    const text = input.current?.value.trim()
    if (isDate || text) onSave(text || null)
  }
  const field = {
    ref: input,
    'aria-label': isDate ? 'Another date' : 'New text',
    defaultValue: value,
    onKeyDown: (event: KeyboardEvent) => {
      event.stopPropagation()
      if (event.key === 'Escape') onCancel()
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
      event.preventDefault()
      save()
    }
  }
  return (
    <div class="write-anew">
      {isDate ? <input type="date" {...field} /> : <textarea rows={2} {...field} />}
      <div class="conflict-actions">
        <Button kind="primary" onClick={save}>
          Save
        </Button>
        <Button kind="quiet" onClick={onCancel}>
          Cancel
        </Button>
      </div>
    </div>
  )
}

/** Loads the changes of the item, which have the times of both values. Without a connection there are no times. */
function useChanges({ list }: Model, conflict: Conflict) {
  const [changes, setChanges] = useState<readonly Change[]>([])
  useEffect(() => {
    const { itemId, field } = conflict
    if (field === 'alive') return
    const ended = new AbortController()
    list
      .history({ itemId: itemId ?? undefined, limit: 100, signal: ended.signal })
      .then(page => setChanges(page.changes))
      .catch(() => {})
    return () => ended.abort()
  }, [list, conflict])
  return changes
}
