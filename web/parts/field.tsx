import type { ComponentChildren, InputHTMLAttributes, SelectHTMLAttributes } from 'preact'
import { useId } from 'preact/hooks'
import { Icon } from '../icons.tsx'

interface Labelled {
  label: string
  /** what is wrong with the value; screen readers read it with the field */
  error?: ComponentChildren
  hint?: ComponentChildren
}

/** An input with its label, and with its error below it. */
export function Field({ label, error, hint, ...rest }: Labelled & InputHTMLAttributes) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input {...rest} id={id} {...describedBy(id, error, hint)} />
      <FieldNotes id={id} error={error} hint={hint} />
    </div>
  )
}

export function Select({
  label,
  error,
  hint,
  children,
  ...rest
}: Labelled & SelectHTMLAttributes & { children: ComponentChildren }) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select {...rest} id={id} {...describedBy(id, error, hint)}>
        {children}
      </select>
      <FieldNotes id={id} error={error} hint={hint} />
    </div>
  )
}

function describedBy(id: string, error: ComponentChildren, hint: ComponentChildren) {
  const ids = [error && `${id}-error`, hint && `${id}-hint`].filter(Boolean).join(' ')
  return {
    'aria-describedby': ids || undefined,
    'aria-invalid': error ? ('true' as const) : undefined
  }
}

function FieldNotes({ id, error, hint }: { id: string } & Omit<Labelled, 'label'>) {
  return (
    <>
      {hint && (
        <p class="field-hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="field-error" id={`${id}-error`}>
          <Icon name="warning" />
          <span>{error}</span>
        </p>
      )}
    </>
  )
}
