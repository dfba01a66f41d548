import { ConcordError } from './errors.ts'
import type { SignedOutReason } from './types.ts'

export function signedOutError(cause?: unknown): ConcordError {
  return new ConcordError('SIGNED_OUT', 'the user is signed out', { cause })
}

/** Several connections report the end of a session, but only the stream receives the exact reason. */
export function isMoreExact(reason: SignedOutReason, than: SignedOutReason | null): boolean {
  return exactness(reason) > exactness(than)
}

function exactness(reason: SignedOutReason | null): number {
  if (reason === null) return 0
  return reason === 'expired' ? 1 : reason === 'revoked' ? 2 : 3
}

/** Returns whether what is stored on this device must not outlive the session. */
export function isForGood(reason: SignedOutReason): boolean {
  return reason === 'signed_out' || reason === 'account_deleted'
}
