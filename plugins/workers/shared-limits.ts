import type { ProcessChannel } from '../../lib/channel.ts'
import { createQuota } from '../../lib/quota.ts'
import { createTokenBuckets } from '../../lib/token-bucket.ts'

type Quotas = Map<string, ReturnType<typeof createQuota>>

/** Counts what users do on all workers; plugins/http/node-limits.ts asks for it. */
export function createSharedLimits() {
  const buckets = new Map<string, ReturnType<typeof createTokenBuckets>>()
  /** the open connections of each worker, by the name of the limit */
  const workers = new Set<Quotas>()

  return {
    /** Serves one worker. Returns a function that forgets its connections, for when it has ended. */
    serve(channel: ProcessChannel): () => void {
      const quotas: Quotas = new Map()
      workers.add(quotas)
      channel.handle(
        'rate.take',
        (name: string, bucket: Bucket, userId: string, count: number, maxWaitMs: number) =>
          bucketsOf(name, bucket).take(userId, count, maxWaitMs)
      )
      channel.handle('rate.charge', (name: string, bucket: Bucket, userId: string, count: number) =>
        bucketsOf(name, bucket).charge(userId, count)
      )
      channel.handle('quota.isUsedUp', isUsedUp)
      channel.handle('quota.tryTake', (name: string, userId: string, max: number) => {
        if (isUsedUp(name, userId, max)) return false
        quotaOf(quotas, name).take(userId)
        return true
      })
      channel.handle('quota.take', (name: string, userId: string) =>
        quotaOf(quotas, name).take(userId)
      )
      channel.handle('quota.release', (name: string, userId: string) =>
        quotaOf(quotas, name).release(userId)
      )
      return () => workers.delete(quotas)
    }
  }

  function isUsedUp(name: string, userId: string, max: number): boolean {
    let count = 0
    for (const quotas of workers) count += quotas.get(name)?.count(userId) ?? 0
    return count >= max
  }

  function bucketsOf(name: string, bucket: Bucket) {
    const all = buckets.get(name) ?? createTokenBuckets(bucket)
    buckets.set(name, all)
    return all
  }

  function quotaOf(quotas: Quotas, name: string) {
    const quota = quotas.get(name) ?? createQuota(Number.POSITIVE_INFINITY)
    quotas.set(name, quota)
    return quota
  }
}

interface Bucket {
  rate: number
  burst: number
}
