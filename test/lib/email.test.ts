import t from 'tap'
import { canonicalEmail } from '../../lib/email.ts'

t.test('canonicalEmail returns the email in lower case', async t => {
  t.equal(canonicalEmail('Ann.O@Example.COM'), 'ann.o@example.com')
})
