const dayMs = 86_400_000

/** Returns a date such as "2026-11-27" as "Today", "Tomorrow", "Yesterday" or "Fri 27 Nov". Another year is added. */
export function formatDay(day: string, now = new Date()): string {
  const date = new Date(`${day}T00:00`)
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate())
  const days = Math.round((date.getTime() - today.getTime()) / dayMs)
  if (Math.abs(days) <= 1) return ['Yesterday', 'Today', 'Tomorrow'][days + 1] as string
  return formatDate(day, now)
}

/** Returns a date such as "Fri 27 Nov", for texts that are read on another day. */
export function formatDate(day: string, now = new Date()): string {
  const date = new Date(`${day}T00:00`)
  if (Number.isNaN(date.getTime())) return day
  const isThisYear = date.getFullYear() === now.getFullYear()
  const year = isThisYear ? undefined : 'numeric'
  const parts = { weekday: 'short', day: 'numeric', month: 'short', year } as const
  return new Intl.DateTimeFormat('en-GB', parts).format(date).replace(',', '')
}

/** Returns whether a date is before today. */
export function isPast(day: string, now = new Date()): boolean {
  return new Date(`${day}T23:59:59.999`) < now
}
