import type postgres from 'postgres'

/** The first parameter of every data function: a pool or a transaction. Both parse int8 as a number. */
export type Sql = postgres.Sql<{ bigint: number }>
