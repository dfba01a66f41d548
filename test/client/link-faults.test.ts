import t from 'tap'
import type { FeedEvent } from '../../client/types.ts'
import { fastClock } from '../support/browser.ts'
import { createRandom } from '../support/random.ts'
import { tcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { follow, startBrowser, type TestTab } from './link-setup.ts'

const limits = { tabs: 4, steps: 40, convergeMs: 60_000 }

for (const seed of [1, 2, 3]) {
  t.test(`tabs converge after random faults (seed ${seed})`, async t => {
    const { pick, chance } = createRandom(seed)
    const clock = fastClock()
    let proxy: Awaited<ReturnType<typeof tcpProxy>> | undefined
    const { list, tab } = await startBrowser(t, {
      async address(url) {
        proxy = await tcpProxy(t, url)
        return proxy.url
      }
    })
    const tabs = new Set<Opened>()
    for (let n = 0; n < limits.tabs; n++) tabs.add(await open())
    let written = 0
    const faults: Record<string, () => unknown> = {
      cut: () => proxy?.cut(),
      stall: () => proxy?.stall(),
      freeze: () => pick([...tabs]).page.freeze(),
      thaw: () => pick([...tabs]).page.thaw(),
      hide: () => pick([...tabs]).page.hide(),
      show: () => pick([...tabs]).page.show(),
      lead: () => pick([...tabs]).leadAnyway(),
      async replace() {
        const gone = pick([...tabs])
        if (chance(0.5)) gone.page.kill()
        else gone.close()
        tabs.delete(gone)
        tabs.add(await open())
      },
      background: () => pick([...tabs]).page.setVisible(false),
      foreground: () => pick([...tabs]).page.setVisible(true)
    }

    const done: string[] = []
    for (let step = 0; step < limits.steps; step++) {
      const name = pick(Object.keys(faults))
      done.push(name)
      await faults[name]?.()
      if (chance(0.7)) await list.addItems(`Item ${++written}`)
      await new Promise<void>(resolve => clock.setTimeout(resolve, 1000))
    }
    for (const { page } of tabs) {
      page.thaw()
      page.show()
      page.setVisible(true)
    }
    await list.addItems(`Item ${++written}`)

    const expected = (await list.texts()).join()
    const isDone = () =>
      [...tabs].every(
        ({ followed, events }) =>
          followed.texts().join() === expected &&
          (events.at(-1)?.type === 'reset' || revOf(events.at(-1)) === followed.state?.rev)
      )
    t.ok(await until(isDone, limits.convergeMs).catch(() => false), 'converges', {
      faults: done.join()
    })
    for (const { events } of tabs) t.same(gaps(events), [], { faults: done.join() })

    async function open() {
      const opened = await tab()
      const events: FeedEvent[] = []
      opened.link.onEvent(event => {
        if (event.type === 'item.added' || event.type === 'reset') events.push(event)
      })
      return { ...opened, events, followed: follow(opened.link, list.listId) }
    }
  })
}

type Opened = TestTab & { events: FeedEvent[]; followed: ReturnType<typeof follow> }

/** Returns the events that do not follow the event before them. After a `reset`, any event may follow. */
function gaps(events: FeedEvent[]): string[] {
  const found: string[] = []
  let last: number | undefined
  let isReset = false
  for (const event of events) {
    const rev = revOf(event)
    if (rev === undefined) isReset = true
    else {
      if (!isReset && last !== undefined && rev !== last + 1) found.push(`${last} → ${rev}`)
      last = rev
      isReset = false
    }
  }
  return found
}

function revOf(event: object | undefined): number | undefined {
  return (event as { rev?: number } | undefined)?.rev
}
