import type { SessionManager } from './session.ts'
import type { Account, Me, SessionInfo } from './types.ts'

/** Returns the calls about the account of the user. */
export function createAccount({
  request,
  rename,
  leave
}: Pick<SessionManager, 'request' | 'rename' | 'leave'>): Account {
  return {
    async rename(name, call) {
      const me = await request<Me>('PATCH', '/users/me', { ...call, body: { name } })
      rename(me)
      return me
    },

    async changePassword(current, next, call) {
      await request('POST', '/auth/password', { ...call, body: { current, next } })
    },

    async delete(password, call) {
      await request('DELETE', '/users/me', { ...call, body: { password } })
      leave('account_deleted')
    },

    async sessions(call) {
      return (await request<{ sessions: SessionInfo[] }>('GET', '/auth/sessions', call)).sessions
    },

    endSession: (id, call) => request('DELETE', `/auth/sessions/${encodeURIComponent(id)}`, call),

    endOtherSessions: call => request('DELETE', '/auth/sessions', call)
  }
}
