import type postgres from 'postgres'

/** The first parameter of every data function: a pool or a transaction, which parses int8 as number. */
export type Sql = postgres.Sql<{ bigint: number }>
