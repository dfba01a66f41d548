import { useState } from 'preact/hooks'
import { IconButton } from '../parts/button.tsx'
import { Time } from '../parts/time.tsx'
import type { Model } from './model.ts'
import { capitalize, possessive } from './names.ts'
import type { Note, Row } from './row.ts'

/** A note below a line, or with `row` null below the title, that was combined with a change of another user. */
export function MergeNote({ model, row }: { model: Model; row: Row | null }) {
  const [isOpen, setOpen] = useState(false)
  const shown = row?.note ?? model.titleNote
  const note = shown.value
  if (!note) return null
  const { by, at } = note
  return (
    <div class="merge-note">
      <p>
        <span>
          Combined with {possessive(by)} change, <Time value={at} />
        </span>
        <button type="button" class="link" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? 'Hide' : 'See'}
        </button>
        {note.edit && (
          <button type="button" class="link" onClick={() => model.takeBack(row)}>
            Take back
          </button>
        )}
        <IconButton
          icon="close"
          label="Close this note"
          onClick={() => {
            shown.value = null
          }}
        />
      </p>
      {isOpen && (
        <p class="merge-text">
          <MergedWords note={note} />
          <span class="merge-key">
            <span class="by-me">you</span> <span class="by-other">{by}</span>
          </span>
        </p>
      )}
    </div>
  )
}

function MergedWords({ note: { result, parts = [], by } }: { note: Note }) {
  let at = 0
  return parts.map(({ length, by: author }) => {
    const start = at
    at += length
    const text = result.slice(start, at)
    const key = `${start}`
    if (author === 'base') return <span key={key}>{text}</span>
    const isMine = author === 'wanted'
    const name = author === 'both' ? `you and ${by}` : isMine ? 'you' : by
    return (
      <span key={key} class={isMine ? 'by-me' : 'by-other'} title={capitalize(name)}>
        <span class="visually-hidden">{name}: </span>
        {text}
      </span>
    )
  })
}
