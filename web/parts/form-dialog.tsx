import type { ComponentChildren } from 'preact'
import type { useForm } from '../form.ts'
import { Button } from './button.tsx'
import { Dialog } from './dialog.tsx'
import { Notice } from './empty.tsx'

interface FormDialogProps {
  title: string
  form: Pick<ReturnType<typeof useForm>, 'error' | 'isBusy' | 'onSubmit'>
  /** the text of the button that submits */
  submit: string
  kind?: 'primary' | 'danger'
  onClose: () => void
  children: ComponentChildren
}

/** A dialog with inputs, an error that concerns none of them, and two buttons. */
export function FormDialog({
  title,
  form: { error, isBusy, onSubmit },
  submit,
  kind = 'primary',
  onClose,
  children
}: FormDialogProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="form" onSubmit={onSubmit} noValidate>
        {error && <Notice kind="error">{error}</Notice>}
        {children}
        <div class="dialog-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind={kind} type="submit" isBusy={isBusy}>
            {submit}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
