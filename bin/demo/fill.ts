import { type Checklist, type Client, createClient } from '../../client/index.ts'

export const password = 'hat and coat'

/** The users of the demo that stays open, with their role in the project. */
export const people = [
  { name: 'Ann', email: 'ann@example.com', role: 'owner' },
  { name: 'Bob', email: 'bob@example.com', role: 'editor' },
  { name: 'Cara', email: 'cara@example.com', role: 'viewer' }
] as const

/** Signs three users up, and creates a project with lists: with due dates, a merged text and an open conflict. */
export async function fillService(url: string) {
  const clients: Client[] = []
  try {
    for (const { name, email } of people) {
      const client = createClient(url)
      clients.push(client)
      await client.signUp({ name, email, password })
      await client.signIn({ email, password })
    }
    await createLists(clients as [Client, Client, Client])
  } finally {
    await Promise.all(clients.map(client => client.close()))
  }
}

async function createLists([ann, bob]: [Client, Client, Client]) {
  const { id } = await ann.createProject('Summer fair')
  const project = ann.project(id)
  for (const { email, role } of people.slice(1)) await project.addMember(email, role)

  const toBuy = await project.createChecklist('To buy')
  const [annList, bobList] = await openBoth(ann, bob, toBuy.id)
  const { ids } = annList.add([
    'Order 12 chairs',
    'Oat milk',
    'Rye bread',
    'Book the band',
    'Candles',
    'Balloons'
  ])
  const [chairs = '', milk = '', , band = '', candles = ''] = ids
  annList.set(chairs, { dueOn: inDays(3) })
  annList.set(milk, { done: true })
  await annList.set(band, { dueOn: inDays(9) }).settled
  await untilShown(bobList, candles)
  await bobList.set(candles, { text: '12 candles' }, { text: 'Candles' }).settled

  // Both start from the same text: these words can be combined ...
  await annList.set(chairs, { text: 'Order 12 white chairs' }, { text: 'Order 12 chairs' }).settled
  await bobList.set(chairs, { text: 'Order 12 chairs by Friday' }, { text: 'Order 12 chairs' })
    .settled
  // ... and these cannot.
  await annList.set(band, { text: 'Book the jazz band' }, { text: 'Book the band' }).settled
  await bobList.set(band, { text: 'Book a DJ' }, { text: 'Book the band' }).settled

  const helpers = await project.createChecklist('Volunteers')
  const [, bobHelpers] = await openBoth(ann, bob, helpers.id)
  const { ids: tasks } = bobHelpers.add([
    'Set up the tents: Bob, Dora, Emil',
    'Cake stand: Cara',
    'First aid: ask the fire brigade',
    'Take everything down: all of us'
  ])
  await bobHelpers.set(tasks[1] ?? '', { done: true }).settled

  const kitchen = await bob.createProject('Kitchen')
  await bob.project(kitchen.id).addMember(people[0].email, 'editor')
  const list = bob.checklist((await bob.project(kitchen.id).createChecklist('This week')).id)
  await list.ready()
  await list.add(['Coffee filters', 'Dishwasher salt', 'Descale the kettle']).settled
}

/** Returns a checklist as two users have it. */
async function openBoth(ann: Client, bob: Client, id: string): Promise<[Checklist, Checklist]> {
  const lists: [Checklist, Checklist] = [ann.checklist(id), bob.checklist(id)]
  for (const list of lists) {
    list.subscribe(() => {})
    await list.ready()
  }
  return lists
}

/** Resolves when a checklist shows an item. */
async function untilShown(list: Checklist, itemId: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const unsubscribe = list.subscribe(view => {
    if (view?.items.some(({ id }) => id === itemId)) resolve()
  })
  await promise
  unsubscribe()
}

function inDays(days: number): string {
  return new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)
}
