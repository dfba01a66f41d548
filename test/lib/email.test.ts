import t from 'tap'
import { canonicalEmail } from '../../lib/email.ts'

t.test('letter case is no difference', async t => {
  t.equal(canonicalEmail('Ann.O@Example.COM'), 'ann.o@example.com')
})
