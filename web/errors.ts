import { ConcordError } from '../client/index.ts'

const sentences: Record<string, string> = {
  NETWORK: 'The service cannot be reached. Check your network, then try again.',
  NOT_CONCORD: 'The service cannot be reached. Check your network, then try again.',
  SIGNED_OUT: 'You are signed out.',
  BAD_CREDENTIALS: 'Email or password is wrong.',
  WRONG_PASSWORD: 'This is not your password.',
  EMAIL_TAKEN: 'There is an account with this email.',
  FORBIDDEN: 'Only owners can do this.',
  USER_NOT_FOUND: 'There is no account with this email. Ask them to sign up first.',
  ALREADY_MEMBER: 'This person is a member already.',
  LAST_OWNER: 'A project needs an owner: first make another member an owner.',
  PROJECT_NOT_FOUND: 'This project does not exist, or you are not a member of it.',
  MEMBER_NOT_FOUND: 'This person is no member any more.',
  CHECKLIST_NOT_FOUND: 'This list does not exist, or you are not a member of its project.',
  CHECKLIST_DELETED: 'This list was deleted.',
  SESSION_NOT_FOUND: 'This session has ended already.',
  READ_ONLY: 'You can read this list, but not change it.',
  TOO_MANY_CHECKLISTS: 'Too many lists are open. Close some tabs.'
}

/** Returns a sentence about an error for the user. Returns '' when there is nothing to show. */
export function describeError(error: unknown): string {
  if (!(error instanceof ConcordError)) return 'Something went wrong. Please reload the page.'
  const { code, retryAfterMs, message, status } = error
  if (code === 'ABORTED') return ''
  if (code === 'TOO_OFTEN') {
    const seconds = Math.ceil((retryAfterMs ?? 60_000) / 1000)
    return `Too many tries. Please wait ${seconds < 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`}.`
  }
  if (status !== null && status >= 500) return 'The service is busy. Please try again in a moment.'
  return sentences[code] ?? sentenceOf(message)
}

function sentenceOf(message: string): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1)
  return /[.!?…]$/.test(text) ? text : `${text}.`
}
