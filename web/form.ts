import { useState } from 'preact/hooks'
import { ConcordError } from '../client/index.ts'
import { describeError } from './errors.ts'

/**
 * Returns the state of a form and its handler of `submit`. `run` receives the values by the names of the inputs. When it
 * rejects, `error` is the sentence about it and `code` its code, until the next submit.
 */
export function useForm(
  run: (values: Record<string, string>, form: HTMLFormElement) => Promise<unknown>
) {
  const [state, setState] = useState({ isBusy: false, code: '', error: '' })
  return {
    ...state,
    reset: () => setState({ isBusy: false, code: '', error: '' }),
    async onSubmit(event: Event) {
      event.preventDefault()
      if (state.isBusy) return
      const form = event.currentTarget as HTMLFormElement
      setState({ isBusy: true, code: '', error: '' })
      const values = Object.fromEntries(new FormData(form)) as Record<string, string>
      try {
        await run(values, form)
        setState({ isBusy: false, code: '', error: '' })
      } catch (error) {
        const code = error instanceof ConcordError ? error.code : 'ERROR'
        setState({ isBusy: false, code, error: describeError(error) })
        queueMicrotask(() => requestAnimationFrame(() => focusInvalid(form)))
      }
    }
  }
}

function focusInvalid(form: HTMLFormElement) {
  form.querySelector<HTMLElement>('[aria-invalid=true]')?.focus()
}
