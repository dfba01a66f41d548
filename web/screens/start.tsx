import { useEffect, useState } from 'preact/hooks'
import { Notice } from '../parts/empty.tsx'
import { connection } from '../state.ts'

/** time after which a start that is not over is shown */
const graceMs = 700

/** Shown until it is known whether the user is signed in. */
export function StartScreen() {
  const [isLong, setLong] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setLong(true), graceMs)
    return () => clearTimeout(timer)
  }, [])
  return (
    <main class="screen narrow" aria-busy="true">
      <h1 class="visually-hidden">Concord</h1>
      {isLong && <Notice>{sentence()}</Notice>}
    </main>
  )
}

function sentence() {
  const { state } = connection.value
  if (state !== 'offline') return 'Connecting…'
  return 'The service cannot be reached. This page tries again by itself.'
}
