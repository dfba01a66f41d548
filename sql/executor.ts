import type postgres from 'postgres'

/** What every data function takes first: a pool or a transaction, with int8 read as number. */
export type Sql = postgres.Sql<{ bigint: number }>
