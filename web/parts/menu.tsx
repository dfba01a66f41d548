import type { ComponentChildren } from 'preact'
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { Icon, type IconName } from '../icons.tsx'

export interface MenuItem {
  label: string
  run: () => void
  icon?: IconName
  isDanger?: boolean
  isDisabled?: boolean
  /** of items of which one is chosen: whether it is this one */
  isChecked?: boolean
  /** the key that does the same, such as "Alt+↑" */
  keys?: string
}

interface MenuProps {
  /** name of the button that opens the menu */
  label: string
  items: readonly (MenuItem | 'line')[]
  /** content of the button; by default three dots */
  children?: ComponentChildren
  class?: string
  /** of the button: -1 where the arrow keys move between rows, each with a menu */
  tabIndex?: number
}

/** A button that opens a menu. Keys as in the ARIA Authoring Practices: arrows, Home, End, letters, Escape and Tab. */
export function Menu({ label, items, children, class: extra = '', tabIndex }: MenuProps) {
  const [isOpen, setOpen] = useState(false)
  const root = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const list = useRef<HTMLDivElement>(null)
  const id = useId()

  useEffect(() => {
    if (!isOpen) return
    const close = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false)
    }
    document.addEventListener('pointerdown', close)
    document.addEventListener('focusin', close)
    return () => {
      document.removeEventListener('pointerdown', close)
      document.removeEventListener('focusin', close)
    }
  }, [isOpen])

  useLayoutEffect(() => {
    if (isOpen) entriesOf(list.current)[0]?.focus()
  }, [isOpen])

  const close = () => {
    setOpen(false)
    button.current?.focus()
  }

  const onKeyDown = (event: KeyboardEvent) => {
    event.stopPropagation()
    const all = entriesOf(list.current)
    const now = all.indexOf(document.activeElement as HTMLElement)
    const moves: Record<string, number> = {
      ArrowDown: (now + 1) % all.length,
      ArrowUp: (now + all.length - 1) % all.length,
      Home: 0,
      End: all.length - 1
    }
    const next = moves[event.key]
    if (next !== undefined) {
      event.preventDefault()
      all[next]?.focus()
    } else if (event.key === 'Escape') {
      event.preventDefault()
      close()
    } else if (event.key === 'Tab') {
      setOpen(false)
    } else if (event.key.length === 1 && event.key !== ' ') {
      const rest = [...all.slice(now + 1), ...all.slice(0, now + 1)]
      const start = event.key.toLowerCase()
      rest.find(one => one.textContent?.trim().toLowerCase().startsWith(start))?.focus()
    }
  }

  return (
    <div class={`menu ${extra}`} ref={root}>
      <button
        ref={button}
        type="button"
        class={children ? 'button quiet' : 'button quiet icon-button'}
        tabIndex={tabIndex}
        aria-label={label}
        title={children ? undefined : label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setOpen(!isOpen)}
        onKeyDown={event => {
          if (event.key !== 'ArrowDown') return
          event.preventDefault()
          setOpen(true)
        }}
      >
        {children ?? <Icon name="more" />}
      </button>
      {isOpen && (
        <div
          class="menu-list"
          role="menu"
          id={id}
          aria-label={label}
          tabIndex={-1}
          ref={list}
          onKeyDown={onKeyDown}
        >
          {items.map((item, index) =>
            item === 'line' ? (
              // biome-ignore lint/suspicious/noArrayIndexKey: the lines are all the same
              // biome-ignore lint/a11y/useSemanticElements: an <hr> may not be inside a menu
              <div key={index} class="menu-line" role="separator" />
            ) : (
              <button
                key={item.label}
                type="button"
                tabIndex={-1}
                class={item.isDanger ? 'menu-item danger' : 'menu-item'}
                {...roleOf(item)}
                aria-disabled={item.isDisabled || undefined}
                onClick={() => {
                  if (item.isDisabled) return
                  close()
                  item.run()
                }}
              >
                {item.icon && <Icon name={item.icon} />}
                <span class="menu-text">{item.label}</span>
                {item.isChecked && <Icon name="check" />}
                {item.keys && <kbd>{item.keys}</kbd>}
              </button>
            )
          )}
        </div>
      )}
    </div>
  )
}

function entriesOf(list: HTMLElement | null): HTMLElement[] {
  return [...(list?.querySelectorAll<HTMLElement>('[role^=menuitem]:not([aria-disabled])') ?? [])]
}

function roleOf({ isChecked }: MenuItem) {
  return isChecked === undefined
    ? ({ role: 'menuitem' } as const)
    : ({ role: 'menuitemradio', 'aria-checked': isChecked } as const)
}
