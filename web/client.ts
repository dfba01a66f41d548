import { createClient } from '../client/index.ts'

export const client = createClient()
