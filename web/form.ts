import { useRef, useState } from 'preact/hooks'
import { ConcordError } from '../client/index.ts'
import { describeError, fieldOf } from './errors.ts'

type Values = Record<string, string>

interface State {
  isBusy: boolean
  /** sentences about values, by the names of the inputs */
  errors: Record<string, string>
  /** sentence about an error that concerns no input of the form */
  error: string
  code: string
}

const idle: State = { isBusy: false, errors: {}, error: '', code: '' }

/**
 * Returns the state of a form and its handler of `submit`, which calls `run` with the values by the names of the inputs.
 * An error appears at its input, which receives the focus.
 */
export function useForm(run: (values: Values, form: HTMLFormElement) => Promise<unknown>) {
  const [state, setState] = useState(idle)
  const isBusy = useRef(false)

  return {
    ...state,
    reset: () => setState(idle),

    async onSubmit(event: Event) {
      event.preventDefault()
      if (isBusy.current) return
      const form = event.currentTarget as HTMLFormElement
      const errors = invalidInputs(form)
      if (Object.keys(errors).length > 0) return fail(form, { ...idle, errors })
      isBusy.current = true
      setState({ ...idle, isBusy: true })
      try {
        await run(Object.fromEntries(new FormData(form)) as Values, form)
        setState(idle)
      } catch (error) {
        const sentence = describeError(error)
        const field = fieldOf(error)
        const code = error instanceof ConcordError ? error.code : ''
        const isShown = field !== '' && form.elements.namedItem(field) !== null
        const [errors, rest] = isShown ? [{ [field]: sentence }, ''] : [{}, sentence]
        fail(form, { isBusy: false, errors, error: rest, code })
      } finally {
        isBusy.current = false
      }
    }
  }

  function fail(form: HTMLFormElement, next: State) {
    setState(next)
    const [name = ''] = Object.keys(next.errors)
    const input = form.elements.namedItem(name)
    if (input instanceof HTMLElement) input.focus()
  }
}

/** Returns sentences about the inputs that the browser would refuse. The form has `noValidate`. */
function invalidInputs(form: HTMLFormElement): Record<string, string> {
  const errors: Record<string, string> = {}
  for (const input of form.elements) {
    if (!(input instanceof HTMLInputElement)) continue
    const isBlank = input.required && input.type !== 'password' && input.value.trim() === ''
    if (isBlank || input.validity.valueMissing) errors[input.name] = 'Please fill this in.'
    else if (input.validity.typeMismatch) errors[input.name] = 'This is not an email address.'
  }
  return errors
}
