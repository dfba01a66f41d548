import { signal } from '@preact/signals'
import { client } from './client.ts'
import { Confirm } from './parts/confirm.tsx'
import { showFailure } from './parts/toast.tsx'
import { expectScreen } from './route.ts'
import { connection } from './state.ts'
import { plural } from './text.ts'

const isAsking = signal(false)

/** Signs out. Asks first while unsent changes would be deleted. */
export function signOut() {
  if (connection.peek().unsent > 0) isAsking.value = true
  else leave().catch(showFailure)
}

function leave() {
  expectScreen()
  return client.signOut()
}

/** The question of `signOut`. */
export function SignOutQuestion() {
  const { unsent } = connection.value
  if (!isAsking.value) return null
  return (
    <Confirm
      title="Sign out?"
      action="Sign out"
      onClose={() => {
        isAsking.value = false
      }}
      run={leave}
    >
      {unsent === 0
        ? 'Everything you changed is saved.'
        : `${plural(unsent, '1 change was', '# changes were')} not sent yet, and would be deleted from this device.`}
    </Confirm>
  )
}
