import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Line } from '../../client/index.ts'
import { Icon } from '../icons.tsx'
import { formatDay, isPast } from './days.ts'
import type { Model } from './model.ts'
import type { Row } from './row.ts'

interface DueDateProps {
  model: Model
  row: Row
  line: Line
  tabIndex: number
  canWrite: boolean
}

/** The date of a line: a button that opens the date field of the browser. */
export function DueDate({ model, row, line, tabIndex, canWrite }: DueDateProps) {
  const [opened, setOpened] = useState<'by-key' | 'by-pointer' | null>(null)
  const input = useRef<HTMLInputElement>(null)
  const { id, dueOn, done } = line

  useLayoutEffect(() => {
    if (!opened || !input.current) return
    input.current.focus()
    // With the keyboard, the date is typed: an open calendar would take the keys.
    if (opened === 'by-key') return
    try {
      input.current.showPicker()
    } catch {
      // Some browsers have none, or refuse without a click. The field itself can be typed in.
    }
  }, [opened])

  const close = () => {
    setOpened(null)
    model.list.show(null)
  }

  if (opened) {
    return (
      <span class="due-edit">
        <input
          ref={input}
          type="date"
          aria-label="Due date"
          defaultValue={dueOn ?? ''}
          onFocus={() => model.list.show({ itemId: id, field: 'dueOn' })}
          onChange={event => {
            const { value, validity } = event.currentTarget
            // While a year is typed it is one of the first century.
            if (validity.badInput || (value !== '' && value < '1900')) return
            model.setDueOn(id, value || null)
          }}
          onKeyDown={event => {
            event.stopPropagation()
            if (event.key !== 'Enter' && event.key !== 'Escape') return
            event.preventDefault()
            close()
            model.focus(row, 'check')
          }}
          onBlur={close}
        />
      </span>
    )
  }
  const isLate = dueOn !== null && !done && isPast(dueOn)
  return (
    <button
      id={`date-${row.key}`}
      type="button"
      class={`due ${dueOn === null ? 'is-unset' : ''} ${isLate ? 'is-late' : ''}`}
      tabIndex={tabIndex}
      aria-disabled={!canWrite || undefined}
      aria-label={
        dueOn === null ? 'Set a due date' : `Due ${formatDay(dueOn)}${isLate ? ', late' : ''}`
      }
      title={dueOn ?? 'Set a due date'}
      onClick={({ detail }) => canWrite && setOpened(detail > 0 ? 'by-pointer' : 'by-key')}
    >
      {dueOn === null ? <Icon name="calendar" /> : formatDay(dueOn)}
    </button>
  )
}
