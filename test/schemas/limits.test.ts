import postgres from 'postgres'
import t from 'tap'
import { maximum } from '../../schemas/limits.ts'
import { createDatabase } from '../support/database.ts'

const sql = postgres(await createDatabase(t), { max: 1, onnotice: () => {} })
t.teardown(() => sql.end())

t.test('SQL constraints contain the limits of the schemas', async t => {
  const constraints = await sql<{ name: string; definition: string }[]>`
    select conname as name, pg_get_constraintdef(oid) as definition
    from pg_constraint
    where connamespace = 'public'::regnamespace`
  const expected = {
    users_email_canonical: `length(email) <= ${maximum.emailLength}`,
    users_name_length: `length(name) <= ${maximum.nameLength}`,
    projects_name_length: `length(name) <= ${maximum.nameLength}`,
    checklists_title_length: `length(title) <= ${maximum.nameLength}`,
    checklist_items_text: `length(text) <= ${maximum.textLength}`,
    // four bytes per character, rounded up to leave room for the quotes of JSON
    conflicts_size: `<= ${Math.ceil((maximum.textLength * 4) / 1024) * 1024}`
  }
  for (const [name, part] of Object.entries(expected)) {
    const definitions = constraints.filter(constraint => constraint.name === name)
    const holdIt = definitions.filter(({ definition }) => definition.includes(part))
    t.ok(definitions.length > 0 && holdIt.length === definitions.length, `${name}: ${part}`)
  }
})

t.test('SQL functions contain the limits of the schemas', async t => {
  const functions = await sql<{ name: string; body: string }[]>`
    select proname as name, prosrc as body
    from pg_proc
    where pronamespace = 'public'::regnamespace`
  const bodyOf = (name: string) => functions.find(one => one.name === name)?.body ?? ''
  t.match(bodyOf('room_for_items'), `return ${maximum.itemsPerChecklist} - `)
  t.match(bodyOf('can_keep'), `count(*) < ${maximum.conflictsPerChecklist} `)
  t.match(bodyOf('can_keep'), `item) < ${maximum.conflictsPerItem})`)
})
