import { signal } from '@preact/signals'
import { announce } from '../announce.ts'
import { describeError } from '../errors.ts'
import { Button, IconButton } from './button.tsx'

interface Toast {
  id: number
  text: string
  action?: { label: string; run: () => void }
}

/** time for which a toast without a button is shown; one with a button stays until it is closed or replaced */
const shownMs = 8000

const toasts = signal<readonly Toast[]>([])
let lastId = 0

/** Shows a sentence at the edge of the page, and announces it. Returns a function that removes it. */
export function showToast(text: string, action?: Toast['action']): () => void {
  const id = ++lastId
  const remove = () => {
    toasts.value = toasts.value.filter(toast => toast.id !== id)
  }
  toasts.value = [...toasts.value.filter(toast => toast.text !== text), { id, text, action }].slice(
    -3
  )
  announce(text)
  if (!action) setTimeout(remove, shownMs)
  return remove
}

export function Toasts() {
  return (
    <section class="toasts" aria-label="Messages">
      {toasts.value.map(({ id, text, action }) => {
        const remove = () => {
          toasts.value = toasts.value.filter(toast => toast.id !== id)
        }
        return (
          <div class="toast" key={id}>
            <p>{text}</p>
            {action && (
              <Button
                kind="quiet"
                onClick={() => {
                  remove()
                  action.run()
                }}
              >
                {action.label}
              </Button>
            )}
            <IconButton icon="close" label="Close message" onClick={remove} />
          </div>
        )
      })}
    </section>
  )
}

/** Shows the error of an action as a message. */
export function showFailure(error: unknown) {
  const sentence = describeError(error)
  if (sentence) showToast(sentence)
}
