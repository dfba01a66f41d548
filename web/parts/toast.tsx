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
  // An effect may call this function, and must not depend on the messages.
  const others = toasts.peek().filter(toast => toast.text !== text)
  toasts.value = [...others, { id, text, action }].slice(-3)
  announce(text)
  const remove = () => removeToast(id)
  if (!action) setTimeout(remove, shownMs)
  return remove
}

function removeToast(id: number) {
  toasts.value = toasts.peek().filter(toast => toast.id !== id)
}

export function Toasts() {
  return (
    <section class="toasts" aria-label="Messages">
      {toasts.value.map(({ id, text, action }) => (
        <div class="toast" key={id}>
          <p>{text}</p>
          {action && (
            <Button
              kind="quiet"
              onClick={() => {
                removeToast(id)
                action.run()
              }}
            >
              {action.label}
            </Button>
          )}
          <IconButton icon="close" label="Close message" onClick={() => removeToast(id)} />
        </div>
      ))}
    </section>
  )
}

/** Shows the error of an action as a message. */
export function showFailure(error: unknown) {
  const sentence = describeError(error)
  if (sentence) showToast(sentence)
}
