import { useComputed, useSignal } from '@preact/signals'
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks'
import { announceOthers, announceUrgently } from '../announce.ts'
import { client } from '../client.ts'
import { describeError } from '../errors.ts'
import { Icon } from '../icons.tsx'
import { Button, IconButton } from '../parts/button.tsx'
import { Empty, Loading, Notice } from '../parts/empty.tsx'
import { Menu } from '../parts/menu.tsx'
import { Title } from '../parts/title.tsx'
import { showToast } from '../parts/toast.tsx'
import { href } from '../route.ts'
import { connection, me, projectNameOf } from '../state.ts'
import { plural } from '../text.ts'
import { Banners, Unsent } from './banners.tsx'
import { ConflictQuestion } from './conflict.tsx'
import { questionOf } from './conflict-sides.ts'
import { createDrag } from './drag.ts'
import { HistoryPanel } from './history.tsx'
import { type Actions, createActions, KeyboardHelp } from './keyboard.tsx'
import { LineRow } from './line.tsx'
import { MergeNote } from './merge-note.tsx'
import { createModel, type Model } from './model.ts'
import { People } from './presence.tsx'
import type { Row } from './row.ts'
import { TitleEditor } from './title-editor.tsx'

type Panel = { name: 'history'; row: Row | null } | { name: 'help' } | null

/** The screen of one checklist. */
export function ListScreen({ id }: { id: string }) {
  const userId = me.value?.id ?? ''
  const panel = useSignal<Panel>(null)
  const model = useMemo(() => openModel(id, userId), [id, userId])
  useEffect(() => () => model.stop(), [model])
  const actions = useMemo(
    () =>
      createActions(model, {
        openHistory: row => {
          panel.value = { name: 'history', row }
        },
        openHelp: () => {
          panel.value = { name: 'help' }
        }
      }),
    [model, panel]
  )
  // Without a focus, the keys of undo reach only the document.
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.target === document.body && (event.ctrlKey || event.metaKey))
        actions.onScreenKey(event)
    }
    document.addEventListener('keydown', onKeyDown)
    return () => document.removeEventListener('keydown', onKeyDown)
  }, [actions])
  const isLoaded = useComputed(() => model.view.value !== undefined).value
  if (!isLoaded) return <Missing model={model} />

  const close = () => {
    panel.value = null
  }
  const open = panel.value
  return (
    <main class="screen list-screen" data-list={id} onKeyDown={actions.onScreenKey}>
      <ListHeader model={model} actions={actions} />
      <Banners model={model} onShowConflicts={() => actions.stepDecision(1)} />
      <Decisions model={model} actions={actions} />
      <Lines model={model} actions={actions} />
      {open?.name === 'history' && (
        <HistoryPanel model={model} row={open.row} onMessage={showToast} onClose={close} />
      )}
      {open?.name === 'help' && <KeyboardHelp onClose={close} />}
    </main>
  )
}

function openModel(id: string, userId: string): Model {
  return createModel(id, {
    client,
    me: userId,
    projectNameOf,
    onMessage: showToast,
    onOthers: announceOthers,
    onConflict(conflict, isMine, nameOf) {
      const { oursBy, theirsBy } = conflict
      if (isMine || oursBy === userId || theirsBy === userId)
        announceUrgently(`${questionOf(conflict, userId, nameOf)} Please decide.`)
    }
  })
}

/** The screen while this device has no copy of the list. */
function Missing({ model }: { model: Model }) {
  const error = model.error.value
  const { state } = connection.value
  return (
    <main class="screen list-missing">
      <Title text="List" />
      {error ? (
        <Notice kind="warning">
          <p>{describeError(error)}</p>
          {error.code === 'CHECKLIST_DELETED' && (
            <Button onClick={() => model.attempt(() => model.list.undelete())}>Restore it</Button>
          )}
          <Unsent model={model} />
        </Notice>
      ) : state === 'offline' ? (
        <Notice>
          This list is not on this device. It is shown when the service can be reached.
        </Notice>
      ) : (
        <Loading label="Loading the list" />
      )}
      <p>
        <a href={href.projects()}>My projects</a>
      </p>
    </main>
  )
}

function ListHeader({ model, actions }: { model: Model; actions: Actions }) {
  const view = model.view.value
  const { canUndo, canRedo } = model.status.value
  if (!view) return null
  const { items, people, projectId } = view
  const done = items.filter(item => item.done).length
  const canWrite = model.canWrite.value
  return (
    <header class="list-header">
      <a class="back" href={href.project(projectId)}>
        <Icon name="back" />
        {model.projectName.value || 'Project'}
      </a>
      <div class="list-title">
        <TitleEditor model={model} />
        <People people={people} />
      </div>
      {model.titleNote.value && <MergeNote model={model} row={null} />}
      <div class="list-bar">
        <p class="soft small">
          {items.length > 0 && plural(items.length, '1 line', '# lines')}
          {done > 0 && `, ${done} done`}
        </p>
        {canWrite && (
          <>
            <IconButton
              icon="undo"
              label="Undo"
              aria-keyshortcuts="Control+Z"
              isBusy={!canUndo}
              onClick={model.undo}
            />
            <IconButton
              icon="redo"
              label="Redo"
              aria-keyshortcuts="Control+Shift+Z"
              isBusy={!canRedo}
              onClick={model.redo}
            />
          </>
        )}
        <IconButton icon="history" label="History" onClick={() => actions.openHistory(null)} />
        <Menu
          label="Actions for this list"
          items={[
            { label: 'Keyboard', keys: '?', run: actions.openHelp },
            ...(canWrite
              ? ([
                  'line',
                  {
                    label: 'Delete this list',
                    icon: 'trash',
                    isDanger: true,
                    run: () => deleteList(model)
                  }
                ] as const)
              : [])
          ]}
        />
      </div>
      {view.conflicts
        .filter(({ field }) => field === 'title')
        .map(conflict => (
          <ConflictQuestion
            key={conflict.id}
            model={model}
            conflict={conflict}
            canWrite={canWrite}
            onDone={() => actions.afterDecision(null, conflict)}
          />
        ))}
    </header>
  )
}

function deleteList(model: Model, force = false) {
  model.attempt(() => {
    model.list.delete({ force }).settled.then(({ outcome, code }) => {
      if (outcome === 'rejected' && code === 'changed_since')
        showToast('Others have changed this list meanwhile.', {
          label: 'Delete it anyway',
          run: () => deleteList(model, true)
        })
    })
  })
}

/** The number of open questions, with buttons to go through them. */
function Decisions({ model, actions }: { model: Model; actions: Actions }) {
  const many = model.view.value?.conflicts.length ?? 0
  if (many === 0) return null
  return (
    <div class="decisions">
      <Icon name="warning" />
      <p>{many} to decide</p>
      <IconButton
        icon="back"
        label="Previous question"
        aria-keyshortcuts="P"
        onClick={() => actions.stepDecision(-1)}
      />
      <IconButton
        icon="next"
        label="Next question"
        aria-keyshortcuts="N"
        onClick={() => actions.stepDecision(1)}
      />
    </div>
  )
}

function Lines({ model, actions }: { model: Model; actions: Actions }) {
  const rows = model.rows.value
  const isEmpty = model.view.value?.items.length === 0
  const drag = useMemo(() => createDrag(model), [model])
  // An unchanged element is not rendered again.
  const known = useRef(new Map<Row, preact.JSX.Element>()).current
  const active = useRef<Element | null>(null)
  active.current = document.activeElement

  // A row loses the focus when it moves to another place, and when another user deletes it.
  useLayoutEffect(() => {
    const before = active.current
    if (document.activeElement !== document.body || !(before instanceof HTMLElement)) return
    if (before.isConnected) before.focus({ preventScroll: true })
    else if (before.closest('.line')) model.focus(model.current(), 'check')
  })

  const shown = new Set(rows)
  for (const row of known.keys()) if (!shown.has(row)) known.delete(row)
  return (
    <>
      <ul
        class="lines"
        aria-label="Lines"
        onPointerDown={drag.onPointerDown}
        onTouchStart={drag.onTouchStart}
        onPointerMove={drag.onPointerMove}
        onPointerUp={drag.onPointerUp}
        onLostPointerCapture={drag.onLostPointerCapture}
      >
        {rows.map(row => {
          const element = known.get(row) ?? (
            <LineRow key={row.key} model={model} row={row} actions={actions} />
          )
          known.set(row, element)
          return element
        })}
      </ul>
      {isEmpty && model.canWrite.value && (
        <p class="soft list-hint">
          Type above, or paste a list: each of its lines becomes a line here. Others see it while
          you type.
        </p>
      )}
      {isEmpty && !model.canWrite.value && <Empty icon="list" title="This list is empty" />}
    </>
  )
}
