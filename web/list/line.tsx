import { useLayoutEffect, useMemo } from 'preact/hooks'
import type { Line, Person } from '../../client/index.ts'
import { Icon } from '../icons.tsx'
import { colourOf } from '../parts/avatar.tsx'
import { Menu } from '../parts/menu.tsx'
import { ConflictQuestion } from './conflict.tsx'
import { DueDate } from './due-date.tsx'
import type { Actions } from './keyboard.tsx'
import { MergeNote } from './merge-note.tsx'
import type { Model } from './model.ts'
import type { Row } from './row.ts'
import { createTyping } from './typing.ts'

interface LineProps {
  model: Model
  row: Row
  actions: Actions
}

/** One row of the list. It renders again only when its own line changes. */
export function LineRow({ model, row, actions }: LineProps) {
  const line = row.line.value
  const isCurrent = row.isCurrent.value
  const flash = row.flash.value
  const isGone = row.isGone.value
  const canWrite = model.canWrite.value
  const typing = useMemo(() => createTyping(model, row), [model, row])
  useLayoutEffect(typing.show)

  const { key, id } = row
  const people = line?.people ?? []
  const tabIndex = isCurrent ? 0 : -1
  const isWaiting = line && line.mark !== 'saved'
  const classes = [
    'line',
    line?.done && 'is-done',
    id === null && 'is-empty',
    isGone && 'is-gone',
    flash && 'is-changed',
    (line?.conflicts.length ?? 0) > 0 && 'has-question'
  ]
  return (
    <li
      id={`line-${key}`}
      class={classes.filter(Boolean).join(' ')}
      onFocusIn={() => model.setCurrent(row)}
    >
      <div class="line-main">
        {id === null ? (
          <span class="line-plus">
            <Icon name="plus" />
          </span>
        ) : (
          <>
            <span class={canWrite ? 'grip is-usable' : 'grip'} aria-hidden="true">
              {canWrite && <Icon name="grip" />}
            </span>
            <label class="tick">
              <input
                id={`check-${key}`}
                type="checkbox"
                checked={line?.done}
                aria-disabled={!canWrite || undefined}
                tabIndex={tabIndex}
                aria-label={line?.text}
                aria-describedby={`about-${key}`}
                onClick={event => {
                  if (!canWrite) event.preventDefault()
                }}
                onChange={event => model.setDone(id, event.currentTarget.checked)}
                onKeyDown={event => actions.onRowKey(event, row)}
              />
              <span class="tick-box" aria-hidden="true">
                <Icon name="check" />
              </span>
            </label>
          </>
        )}
        <div class="line-text">
          <textarea
            id={`text-${key}`}
            ref={typing.attach}
            rows={1}
            dir="auto"
            readOnly={!canWrite}
            tabIndex={id === null ? 0 : tabIndex}
            aria-label={id === null ? 'Add a line' : 'Text of the line'}
            aria-describedby={id === null ? undefined : `about-${key}`}
            placeholder={id === null ? 'Add a line' : undefined}
            enterkeyhint="enter"
            autocapitalize="sentences"
            spellcheck
            onFocus={typing.onFocus}
            onBlur={typing.onBlur}
            onInput={typing.onInput}
            onPaste={typing.onPaste}
            onCompositionStart={typing.onCompositionStart}
            onCompositionEnd={typing.onCompositionEnd}
            onKeyDown={event => actions.onTextKey(event, row)}
          />
        </div>
        {line && id !== null && (
          <>
            {isWaiting && (
              <span
                class="line-mark"
                role="img"
                aria-label={line.mark === 'sending' ? 'Sending' : 'Waiting on this device'}
                title={line.mark === 'sending' ? 'Sending' : 'Waiting on this device'}
              />
            )}
            <DueDate model={model} row={row} line={line} tabIndex={tabIndex} canWrite={canWrite} />
            <LineMenu {...{ model, row, actions, canWrite }} />
          </>
        )}
      </div>
      {id !== null && (
        <div class="line-below">
          <div id={`about-${key}`} class="line-about">
            {people.map(person => (
              <Editor key={person.userId} person={person} line={line} />
            ))}
            {flash && <span class="flash">{flash}</span>}
            {isGone && (
              <span class="gone">This line was deleted meanwhile. Keep typing to restore it.</span>
            )}
          </div>
          {row.note.value && <MergeNote model={model} row={row} />}
          {line?.conflicts.map(conflict => (
            <ConflictQuestion
              key={conflict.id}
              model={model}
              conflict={conflict}
              canWrite={canWrite}
              onDone={() => actions.afterDecision(row, conflict)}
            />
          ))}
        </div>
      )}
    </li>
  )
}

/** Another user who edits the line, with their text when it differs from the line. */
function Editor({ person, line }: { person: Person; line: Line | null }) {
  const { userId, name, state } = person
  const draft = state.draft?.trim()
  const isOther = state.field === 'text' && draft && draft !== line?.text
  return (
    <span class={`editor colour-${colourOf(userId)}`}>
      <Icon name="pencil" />
      {isOther ? (
        <>
          {name} is typing: <q>{draft}</q>
        </>
      ) : (
        `${name} is ${state.field === 'dueOn' ? 'choosing a date' : 'editing this line'}`
      )}
    </span>
  )
}

function LineMenu({ model, row, actions, canWrite }: LineProps & { canWrite: boolean }) {
  const move = (direction: 'up' | 'down' | 'top') => () => {
    model.move(row, direction)
    model.focus(row, 'check')
  }
  const history = {
    label: 'History',
    icon: 'history',
    keys: 'H',
    run: () => actions.openHistory(row)
  } as const
  return (
    <Menu
      class="line-menu"
      label={`Actions for ${row.line.value?.text}`}
      tabIndex={row.isCurrent.value ? 0 : -1}
      items={
        canWrite
          ? [
              { label: 'Move up', keys: 'Alt ↑', run: move('up') },
              { label: 'Move down', keys: 'Alt ↓', run: move('down') },
              { label: 'Move to top', run: move('top') },
              'line',
              { label: 'Due date', icon: 'calendar', run: () => actions.editDate(row) },
              history,
              'line',
              {
                label: 'Delete',
                icon: 'trash',
                isDanger: true,
                run: () => actions.remove(row)
              }
            ]
          : [history]
      }
    />
  )
}
