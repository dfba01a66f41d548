import t from 'tap'
import { createQuota } from '../../lib/quota.ts'

t.test('every holder has its own quota, which a release frees again', async t => {
  const quota = createQuota(2)
  quota.take('ann')
  t.notOk(quota.isUsedUp('ann'))
  quota.take('ann')
  t.ok(quota.isUsedUp('ann'))
  t.notOk(quota.isUsedUp('bob'), 'every holder has its own quota')
  quota.release('ann')
  t.notOk(quota.isUsedUp('ann'))
  quota.release('ann')
  quota.release('ann')
  quota.take('ann')
  t.notOk(quota.isUsedUp('ann'), 'an extra release does not raise the quota')
})
