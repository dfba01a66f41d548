import { useEffect, useState } from 'preact/hooks'
import { fullTime, relativeTime } from '../text.ts'

const stepMs = 30_000

/** A time relative to now, which is kept up to date. Its title is the full time. */
export function Time({ value }: { value: string }) {
  const [, tick] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), stepMs)
    return () => clearInterval(timer)
  }, [])
  return (
    <time dateTime={value} title={fullTime(value)}>
      {relativeTime(value)}
    </time>
  )
}
