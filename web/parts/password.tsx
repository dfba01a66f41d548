import { useState } from 'preact/hooks'
import { Field } from './field.tsx'

interface PasswordProps {
  label: string
  name: string
  autocomplete: string
  error?: string
}

/** A password with a button that shows it. */
export function PasswordField({ label, ...rest }: PasswordProps) {
  const [isShown, setShown] = useState(false)
  // The types of Preact allow an input of two types only with a role.
  const type = (isShown ? 'text' : 'password') as 'password'
  return (
    <div class="password">
      <Field {...rest} label={label} type={type} required />
      <button
        type="button"
        class="link small"
        aria-pressed={isShown}
        aria-label={`Show ${label.toLowerCase()}`}
        onClick={() => setShown(!isShown)}
      >
        {isShown ? 'Hide' : 'Show'}
      </button>
    </div>
  )
}
