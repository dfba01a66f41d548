const limits = {
  connectSeconds: 5,
  statementMs: 15_000,
  // PostgreSQL disables statement_timeout before COMMIT waits for the commit lock. lock_timeout still applies there.
  lockMs: 5000,
  idleInTransactionMs: 15_000
}

/** Returns the options for connections of the service. `settings` are further parameters of PostgreSQL. */
export function connectionOptions(settings: Record<string, string | number> = {}) {
  return {
    connect_timeout: limits.connectSeconds,
    // After an outage, the driver's default reconnected after 10 s, this function after 0.35 s.
    backoff: (attempt: number) => Math.min(0.05 * 2 ** attempt, 1),
    onnotice: () => {},
    // int8 is parsed as a number: positions and revisions stay far below 2 ** 53.
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    connection: {
      application_name: 'concord',
      statement_timeout: limits.statementMs,
      lock_timeout: limits.lockMs,
      idle_in_transaction_session_timeout: limits.idleInTransactionMs,
      ...settings
    }
  }
}
