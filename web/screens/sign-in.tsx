import { useState } from 'preact/hooks'
import type { Session } from '../../client/index.ts'
import { browserLimit, onSignIn } from '../browser-limits.ts'
import { client } from '../client.ts'
import { useForm } from '../form.ts'
import { Button } from '../parts/button.tsx'
import { Notice } from '../parts/empty.tsx'
import { Field } from '../parts/field.tsx'
import { PasswordField } from '../parts/password.tsx'
import { Title } from '../parts/title.tsx'
import { expectScreen } from '../route.ts'
import { connection, session } from '../state.ts'
import { plural } from '../text.ts'

/** Signs in, or up and in. The screen that the address names is shown afterwards. */
export function SignInScreen() {
  const [isNew, setNew] = useState(false)
  const { errors, error, code, isBusy, onSubmit, reset } = useForm(
    async ({ name = '', email = '', password = '' }) => {
      if (isNew) await client.signUp({ email: email.trim(), password, name: name.trim() })
      onSignIn()
      expectScreen()
      await client.signIn({ email: email.trim(), password })
    }
  )
  const show = (next: boolean) => {
    setNew(next)
    reset()
  }

  return (
    <main class="screen narrow sign-in">
      <Title text={isNew ? 'Create an account' : 'Sign in'} />
      <p class="soft">Checklists that several people edit at the same time.</p>
      <SignedOutNotice />
      <BrowserNotice />
      <form class="card form" onSubmit={onSubmit} noValidate>
        {error && <Notice kind="error">{error}</Notice>}
        {isNew && (
          <Field
            label="Name"
            name="name"
            autocomplete="name"
            required
            maxLength={200}
            hint="Others see it beside your changes."
            error={errors.name}
          />
        )}
        <Field
          label="Email"
          name="email"
          type="email"
          autocomplete="username"
          inputMode="email"
          required
          error={
            code === 'EMAIL_TAKEN' ? (
              <>
                {errors.email}{' '}
                <button type="button" class="link" onClick={() => show(false)}>
                  Sign in
                </button>
              </>
            ) : (
              errors.email
            )
          }
        />
        <PasswordField
          label="Password"
          name="password"
          autocomplete={isNew ? 'new-password' : 'current-password'}
          error={errors.password}
        />
        <Button kind="primary" type="submit" isBusy={isBusy}>
          {isNew ? 'Create account' : 'Sign in'}
        </Button>
      </form>
      <p class="soft">
        {isNew ? 'You have an account?' : 'New here?'}{' '}
        <button type="button" class="link" onClick={() => show(!isNew)}>
          {isNew ? 'Sign in' : 'Create an account'}
        </button>
      </p>
    </main>
  )
}

type Reason = Extract<Session, { state: 'signed-out' }>['reason'] & string

const reasons: Record<Reason, string> = {
  signed_out: 'You are signed out.',
  expired: 'Please sign in again.',
  revoked: 'You were signed out on another device.',
  password_changed: 'The password was changed. Please sign in with the new one.',
  evicted: 'You were signed out, because you are signed in on too many devices.',
  replaced: 'You signed in again in this browser.',
  reused: 'For your safety you were signed out: a copy of your session was used elsewhere.',
  account_deleted: 'The account was deleted.'
}

function SignedOutNotice() {
  const { value } = session
  const { unsent } = connection.value
  if (value.state !== 'signed-out' || value.reason === null || browserLimit.value) return null
  return (
    <Notice kind={unsent > 0 ? 'warning' : 'info'}>
      <p>{reasons[value.reason] ?? 'Please sign in again.'}</p>
      {unsent > 0 && (
        <p>
          {plural(unsent, '1 change waits', '# changes wait')} on this device until you sign in. If
          another person signs in, {unsent === 1 ? 'it is' : 'they are'} deleted.
        </p>
      )}
    </Notice>
  )
}

function BrowserNotice() {
  switch (browserLimit.value) {
    case 'insecure':
      return (
        <Notice kind="warning">
          <p>
            You cannot stay signed in at <b>{location.origin}</b>: browsers keep the cookie of a
            sign-in only at addresses with https://, and on the same machine at http://localhost.
          </p>
          <p>Offline use and the shared connection of several tabs need https:// as well.</p>
        </Notice>
      )
    case 'cookies':
      return (
        <Notice kind="warning">
          This browser refuses the cookie that keeps you signed in. Allow cookies for{' '}
          <b>{location.host}</b>, then reload the page.
        </Notice>
      )
    default:
      return null
  }
}
