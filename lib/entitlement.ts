/** The part of an event that decides who may see it. */
export interface Addressed {
  pos: number
  kind: string
  projectId: string | null
  userId: string | null
}

/**
 * Whether a user who comes back may see an event of the past: of each project they are in now, what came
 * after they joined and what is about themselves; of a project they have left, only their own removal.
 * `sincePos` answers where a membership began, undefined without one.
 */
export function isEntitled(
  event: Addressed,
  userId: string,
  sincePos: (projectId: string) => number | undefined
): boolean {
  if (event.projectId === null) return false
  const since = sincePos(event.projectId)
  if (since !== undefined && event.pos > since) return true
  return event.userId === userId && (since !== undefined || event.kind === 'member.removed')
}
