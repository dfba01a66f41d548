import type { ComponentChildren } from 'preact'
import { Icon, type IconName } from '../icons.tsx'

/** Stands in place of rows that do not exist yet. */
export function Empty({
  icon,
  title,
  children
}: {
  icon: IconName
  title: string
  children?: ComponentChildren
}) {
  return (
    <div class="empty">
      <Icon name={icon} />
      <p class="empty-title">{title}</p>
      {children}
    </div>
  )
}

/** A sentence that stays: what does not work, and what to do. */
export function Notice({
  kind = 'info',
  children
}: {
  kind?: 'info' | 'warning' | 'error'
  children: ComponentChildren
}) {
  return (
    <div class={`notice ${kind}`} role={kind === 'error' ? 'alert' : undefined}>
      {kind !== 'info' && <Icon name="warning" />}
      <div>{children}</div>
    </div>
  )
}

/** Shown while rows are loaded: empty for a moment, then grey rows. */
export function Loading({ label }: { label: string }) {
  return (
    <div class="loading" role="status" aria-label={label}>
      <span />
      <span />
      <span />
    </div>
  )
}
