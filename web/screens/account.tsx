import type { Signal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import type { SessionInfo } from '../../client/index.ts'
import { announcements } from '../announce.ts'
import { client } from '../client.ts'
import { describeError } from '../errors.ts'
import { useForm } from '../form.ts'
import { Button } from '../parts/button.tsx'
import { Confirm } from '../parts/confirm.tsx'
import { Loading, Notice } from '../parts/empty.tsx'
import { Field } from '../parts/field.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { PasswordField } from '../parts/password.tsx'
import { Time } from '../parts/time.tsx'
import { Title } from '../parts/title.tsx'
import { showFailure, showToast } from '../parts/toast.tsx'
import { signOut } from '../sign-out.tsx'
import { me } from '../state.ts'
import { deviceOf } from '../text.ts'
import { theme } from '../theme.ts'

/** The account of the user: name, password, sessions, and the settings of this device. */
export function AccountScreen() {
  return (
    <main class="screen">
      <div class="screen-head">
        <Title text="Account" />
        <Button onClick={signOut}>Sign out</Button>
      </div>
      <Name />
      <Password />
      <Sessions />
      <Device />
      <DeleteAccount />
    </main>
  )
}

function Name() {
  const name = me.value?.name ?? ''
  const { errors, error, isBusy, onSubmit } = useForm(async values => {
    await client.account.rename(values.name?.trim() ?? '')
    showToast('Your name was changed.')
  })
  return (
    <section class="section" aria-labelledby="name">
      <h2 id="name">Name</h2>
      <form class="inline-form card" onSubmit={onSubmit} noValidate>
        {error && <Notice kind="error">{error}</Notice>}
        <Field
          key={name}
          label="Your name"
          name="name"
          autocomplete="name"
          required
          maxLength={200}
          defaultValue={name}
          hint="Others see it beside your changes."
          error={errors.name}
        />
        <Button type="submit" isBusy={isBusy}>
          Save
        </Button>
      </form>
    </section>
  )
}

function Password() {
  const { errors, error, isBusy, onSubmit } = useForm(
    async ({ password = '', next = '' }, form) => {
      await client.account.changePassword(password, next)
      form.reset()
      reloadSessions()
      showToast('Your password was changed. Other devices are signed out.')
    }
  )
  return (
    <section class="section" aria-labelledby="password">
      <h2 id="password">Password</h2>
      <form class="card form" onSubmit={onSubmit} noValidate>
        {error && <Notice kind="error">{error}</Notice>}
        <PasswordField
          label="Current password"
          name="password"
          autocomplete="current-password"
          error={errors.password}
        />
        <PasswordField
          label="New password"
          name="next"
          autocomplete="new-password"
          error={errors.next}
        />
        <div>
          <Button type="submit" isBusy={isBusy}>
            Change password
          </Button>
        </div>
      </form>
    </section>
  )
}

/** Loads the sessions again as long as they are shown: no event reports those of other devices. */
let reloadSessions = () => {}

function Sessions() {
  const [sessions, setSessions] = useState<readonly SessionInfo[]>()
  const [error, setError] = useState('')
  const [isEnding, setEnding] = useState(false)

  useEffect(() => {
    const stop = new AbortController()
    const load = () =>
      client.account.sessions({ signal: stop.signal }).then(
        rows => {
          setSessions(rows)
          setError('')
        },
        failure => {
          if (!stop.signal.aborted) setError(describeError(failure))
        }
      )
    reloadSessions = load
    load()
    document.addEventListener('visibilitychange', load)
    return () => {
      stop.abort()
      document.removeEventListener('visibilitychange', load)
      reloadSessions = () => {}
    }
  }, [])

  const remove = (id: string) =>
    client.account
      .endSession(id)
      .then(() => setSessions(rows => rows?.filter(row => row.id !== id)), showFailure)

  return (
    <section class="section" aria-labelledby="sessions">
      <h2 id="sessions">Where you are signed in</h2>
      {error && <Notice kind="warning">{error}</Notice>}
      {!sessions && !error && <Loading label="Loading sessions" />}
      {sessions && (
        <ul class="rows card">
          {sessions.map(({ id, userAgent, ip, lastUsedAt, current }) => (
            <li key={id} class="row">
              <div class="row-name">
                <p>
                  {deviceOf(userAgent)} {current && <span class="badge">This device</span>}
                </p>
                <p class="soft small">
                  {ip} · <Time value={lastUsedAt} />
                </p>
              </div>
              {!current && (
                <Button aria-label={`End ${deviceOf(userAgent)}`} onClick={() => remove(id)}>
                  End
                </Button>
              )}
            </li>
          ))}
        </ul>
      )}
      {sessions && sessions.length > 1 && (
        <p>
          <Button onClick={() => setEnding(true)}>End all others</Button>
        </p>
      )}
      {isEnding && (
        <Confirm
          title="End all other sessions?"
          action="End all others"
          onClose={() => setEnding(false)}
          run={() => client.account.endOtherSessions()}
          then={() => setSessions(rows => rows?.filter(({ current }) => current))}
        >
          All your other devices and browsers are signed out.
        </Confirm>
      )}
    </section>
  )
}

const themeChoices = { system: 'As the system', light: 'Light', dark: 'Dark' }
const announcementChoices = {
  all: 'All changes of others',
  mine: 'Only what concerns me',
  none: 'Nothing'
}

/** Settings that are kept on this device. */
function Device() {
  return (
    <section class="section" aria-labelledby="device">
      <h2 id="device">This device</h2>
      <div class="card form">
        <Choice label="Theme" value={theme} choices={themeChoices} />
        <Choice
          label="What screen readers announce"
          value={announcements}
          choices={announcementChoices}
        />
      </div>
    </section>
  )
}

interface ChoiceProps<T extends string> {
  label: string
  value: Signal<T>
  choices: Record<T, string>
}

function Choice<T extends string>({ label, value, choices }: ChoiceProps<T>) {
  return (
    <fieldset class="choice">
      <legend>{label}</legend>
      {(Object.keys(choices) as T[]).map(one => (
        <label key={one}>
          <input
            type="radio"
            name={label}
            checked={value.value === one}
            onChange={() => {
              value.value = one
            }}
          />
          <span>{choices[one]}</span>
        </label>
      ))}
    </fieldset>
  )
}

function DeleteAccount() {
  const [isOpen, setOpen] = useState(false)
  const close = () => setOpen(false)
  const form = useForm(({ password = '' }) => client.account.delete(password))
  return (
    <section class="section" aria-labelledby="delete">
      <h2 id="delete">Delete account</h2>
      <p class="soft">
        You leave all projects. What you wrote in them stays, without your name. This cannot be
        undone.
      </p>
      <p>
        <Button kind="danger" onClick={() => setOpen(true)}>
          Delete account
        </Button>
      </p>
      {isOpen && (
        <FormDialog
          title="Delete your account?"
          submit="Delete account"
          kind="danger"
          form={form}
          onClose={close}
        >
          <PasswordField
            label="Password"
            name="password"
            autocomplete="current-password"
            error={form.errors.password}
          />
        </FormDialog>
      )}
    </section>
  )
}
