import { useState } from 'preact/hooks'
import { Button, IconButton } from '../parts/button.tsx'
import { Notice } from '../parts/empty.tsx'
import { plural } from '../text.ts'
import type { Model } from './model.ts'
import { describeUnsent, reasonOf, reportAbsence, textOf } from './sentences.ts'

/** The notices about the whole list. */
export function Banners({ model, onShowConflicts }: { model: Model; onShowConflicts: () => void }) {
  return (
    <>
      <Access model={model} />
      <Absence model={model} onShowConflicts={onShowConflicts} />
      <LostChanges model={model} />
    </>
  )
}

function Access({ model }: { model: Model }) {
  const view = model.view.value
  if (!view || view.access === 'write') return null
  if (view.access === 'read') return <Notice>You can read this list, but not change it.</Notice>
  if (view.access === 'removed') return <Removed model={model} />
  return (
    <Notice kind="warning">
      <p>This list was deleted.</p>
      {view.role !== 'viewer' && (
        <Button onClick={() => model.attempt(() => model.list.undelete())}>Restore it</Button>
      )}
      <Unsent model={model} />
    </Notice>
  )
}

function Removed({ model }: { model: Model }) {
  return (
    <Notice kind="warning">
      <p>You were removed from {model.projectName.value || 'this project'}.</p>
      <Unsent model={model} />
    </Notice>
  )
}

/** Changes that cannot be sent any more: to copy, or to discard. */
export function Unsent({ model }: { model: Model }) {
  const [isCopied, setCopied] = useState(false)
  const { sending, waiting } = model.status.value
  const many = sending + waiting
  if (many === 0) return null
  const were = many === 1 ? 'was' : 'were'
  return (
    <>
      <p>
        {plural(many, '1 change', '# changes')} of yours {were} not sent.
      </p>
      <p class="notice-actions">
        <Button
          onClick={() => {
            const text = describeUnsent(model.list.unsent(), model.view.value)
            void copy(text).then(setCopied)
          }}
        >
          {isCopied ? 'Copied' : 'Copy my unsent changes'}
        </Button>
        <Button kind="quiet" onClick={() => void model.list.discard()}>
          Discard them
        </Button>
      </p>
    </>
  )
}

function Absence({ model, onShowConflicts }: { model: Model; onShowConflicts: () => void }) {
  const notice = model.absence.value
  if (!notice) return null
  const parts = reportAbsence(notice)
  const isOpen = (show: string | undefined) =>
    show === 'conflicts' && model.view.value?.conflicts.length
  return (
    <section class="report" aria-label="While you were offline">
      <h2>You are online again</h2>
      <ul>
        {parts.map(({ text, show }) => (
          <li key={text}>
            {text}
            {isOpen(show) ? (
              <button type="button" class="link" onClick={onShowConflicts}>
                Show
              </button>
            ) : null}
            {show === 'lost' && model.lost.value.length > 0 && (
              <button
                type="button"
                class="link"
                onClick={() => document.getElementById('lost')?.focus()}
              >
                Show
              </button>
            )}
          </li>
        ))}
      </ul>
      <IconButton
        icon="close"
        label="Close this report"
        onClick={() => {
          model.absence.value = null
        }}
      />
    </section>
  )
}

/** Changes that had no effect, with their text, so that nothing typed is lost. */
function LostChanges({ model }: { model: Model }) {
  const lost = model.lost.value
  if (lost.length === 0) return null
  return (
    <section id="lost" class="report lost" tabIndex={-1} aria-label="Changes that were not made">
      <h2>{plural(lost.length, '1 change was not made', '# changes were not made')}</h2>
      <ul>
        {lost.map(({ op, result, line }) => {
          const text = textOf(op)
          return (
            <li key={op.opId}>
              {reasonOf(result, op, line)}
              {text && (
                <>
                  {' '}
                  <q>{text}</q>
                  {model.canWrite.value && (
                    <button
                      type="button"
                      class="link"
                      onClick={() => {
                        if (model.attempt(() => model.list.add(text.split('\n'))))
                          model.lost.value = lost.filter(one => one.op !== op)
                      }}
                    >
                      Add as a line
                    </button>
                  )}
                </>
              )}
            </li>
          )
        })}
      </ul>
      <IconButton
        icon="close"
        label="Close this report"
        onClick={() => {
          model.lost.value = []
        }}
      />
    </section>
  )
}

/** Copies a text. Returns whether the browser allowed it. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyBySelection(text)
  }
}

/** On a page without HTTPS there is no clipboard, but the browser copies what is selected. */
function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'visually-hidden'
  document.body.append(area)
  area.select()
  const isCopied = document.execCommand('copy')
  area.remove()
  return isCopied
}
