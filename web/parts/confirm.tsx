import type { ComponentChildren } from 'preact'
import { useForm } from '../form.ts'
import { FormDialog } from './form-dialog.tsx'

interface ConfirmProps {
  title: string
  /** text of the button */
  action: string
  children: ComponentChildren
  onClose: () => void
  /** Does what is asked. The dialog stays open, with the error, when it rejects. */
  run: () => Promise<unknown>
  /** called after `run`, when the dialog is closed */
  then?: () => void
}

/** A question before an action that cannot be undone. */
export function Confirm({ title, action, children, onClose, run, then }: ConfirmProps) {
  const form = useForm(async () => {
    await run()
    onClose()
    then?.()
  })
  return (
    <FormDialog submit={action} kind="danger" {...{ title, form, onClose }}>
      <p>{children}</p>
    </FormDialog>
  )
}
