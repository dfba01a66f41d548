import type { ButtonHTMLAttributes, ComponentChildren } from 'preact'
import { Icon, type IconName } from '../icons.tsx'

export interface ButtonProps extends Omit<ButtonHTMLAttributes, 'icon'> {
  kind?: 'primary' | 'plain' | 'quiet' | 'danger'
  icon?: IconName
  /** whether an action is running: then the button does nothing, but keeps the focus */
  isBusy?: boolean
  children?: ComponentChildren
}

export function Button({ kind = 'plain', icon, isBusy, children, onClick, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      class={`button ${kind} ${rest.class ?? ''}`}
      aria-disabled={isBusy || undefined}
      onClick={event => {
        if (isBusy) event.preventDefault()
        else onClick?.(event)
      }}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  )
}

/** A button with an icon only. Its label is also its tooltip. */
export function IconButton({ label, ...rest }: ButtonProps & { label: string; icon: IconName }) {
  return (
    <Button
      kind="quiet"
      {...rest}
      class={`icon-button ${rest.class ?? ''}`}
      aria-label={label}
      title={label}
    />
  )
}
