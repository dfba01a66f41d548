import { useEffect, useState } from 'preact/hooks'
import { connection, session } from '../state.ts'
import { describeConnection } from '../text.ts'

/** time for which a state that usually ends at once is not shown */
const graceMs = 1000

/** The state of the connection and of what this user has changed. */
export function ConnectionPill() {
  const now = connection.value
  const [isLong, setLong] = useState(false)
  const isBrief = now.isStored && (now.state === 'connecting' || now.state === 'catching-up')
  const [, tick] = useState(0)

  useEffect(() => {
    setLong(false)
    if (!isBrief) return
    const timer = setTimeout(() => setLong(true), graceMs)
    return () => clearTimeout(timer)
  }, [isBrief])

  const isWaiting = now.retryAt !== null
  useEffect(() => {
    if (!isWaiting) return
    const timer = setInterval(() => tick(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [isWaiting])

  if (session.value.state !== 'signed-in' && now.unsent === 0) return null
  const { look, short, sentence } = describeConnection(now)
  const isHidden = isBrief && !isLong && now.unsent === 0
  return (
    <p class={`pill ${look} ${isHidden ? 'is-hidden' : ''}`} title={sentence}>
      <span class="pill-dot" aria-hidden="true" />
      <span>
        {short}
        {now.state === 'offline' && now.unsent > 0 && (
          <span class="pill-more"> on this device</span>
        )}
      </span>
    </p>
  )
}
