import { ConcordError } from '../client/index.ts'

const noService = 'The service cannot be reached. Check your network, then try again.'

const sentences: Record<string, string> = {
  NETWORK: noService,
  NOT_CONCORD: noService,
  SIGNED_OUT: 'You are signed out.',
  BAD_CREDENTIALS: 'Email or password is wrong.',
  WRONG_PASSWORD: 'This is not your password.',
  EMAIL_TAKEN: 'There is an account with this email.',
  FORBIDDEN: 'Only owners can do this.',
  USER_NOT_FOUND: 'There is no account with this email. Ask them to sign up first.',
  ALREADY_MEMBER: 'This person is a member already.',
  LAST_OWNER: 'A project needs an owner: make another member an owner first.',
  PROJECT_NOT_FOUND: 'This project does not exist, or you are not a member of it.',
  MEMBER_NOT_FOUND: 'This person is not a member any more.',
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
  if (code === 'TOO_OFTEN')
    return `Too many tries. Please wait ${duration(retryAfterMs ?? 60_000)}.`
  if (status !== null && status >= 500) return 'The service is busy. Please try again in a moment.'
  if (code === 'FST_ERR_VALIDATION') return describeInvalid(message)
  return sentences[code] ?? sentenceOf(message)
}

const fields: Record<string, string> = {
  BAD_CREDENTIALS: 'password',
  WRONG_PASSWORD: 'password',
  EMAIL_TAKEN: 'email',
  USER_NOT_FOUND: 'email',
  ALREADY_MEMBER: 'email'
}

/** Returns the name of the input that an error is about, or ''. */
export function fieldOf(error: unknown): string {
  if (!(error instanceof ConcordError)) return ''
  return fields[error.code] ?? /^body\/(\w+)/.exec(error.message)?.[1] ?? ''
}

/** Returns a sentence for the message of a schema, such as "body/password must NOT have fewer than 7 characters". */
function describeInvalid(message: string): string {
  const [, bound, count] = /must NOT have (fewer|more) than (\d+) char/.exec(message) ?? []
  if (bound === 'fewer' && count !== '1') return `Use at least ${count} characters.`
  if (bound === 'more') return `Use at most ${count} characters.`
  if (message.startsWith('body/email')) return 'This is not an email address.'
  return 'Please fill this in.'
}

function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  return seconds < 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`
}

function sentenceOf(message: string): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1)
  return /[.!?…]$/.test(text) ? text : `${text}.`
}
