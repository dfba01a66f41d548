import t from 'tap'
import { createQuota } from '../../lib/quota.ts'

t.test('a quota is used up by one holder, and free again when something is given back', async t => {
  const quota = createQuota(2)
  quota.take('ann')
  t.notOk(quota.isUsedUp('ann'))
  quota.take('ann')
  t.ok(quota.isUsedUp('ann'))
  t.notOk(quota.isUsedUp('bob'), 'another holder has a quota of their own')
  quota.release('ann')
  t.notOk(quota.isUsedUp('ann'))
  quota.release('ann')
  quota.release('ann')
  quota.take('ann')
  t.notOk(quota.isUsedUp('ann'), 'nobody owes more than nothing')
})
