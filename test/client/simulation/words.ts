import type { Operation, Sent } from '../../../client/types.ts'
import type { Sql } from '../../../sql/executor.ts'

interface Word {
  /** the tab that wrote the word */
  tab?: { name: string }
  isFromSql: boolean
  isStored: boolean
  isSettled: boolean
  /** whether a user or SQL removed the word on purpose, or the service refused it with a notice */
  isReleased: boolean
  /**
   * Whether its tab removed the line, which stays in the view while it seems that this becomes a conflict, or a received
   * change removed the word
   */
  isRemoved: boolean
  isFound: boolean
  /** counts how often it was written and removed */
  version: number
}

/** Returns the unique words in some texts, such as `w17`. */
export function wordsOf(texts: string[]): Set<string> {
  return new Set(texts.flatMap(text => text.match(/\bw\d+\b/g) ?? []))
}

/**
 * Follows each word that a client writes. Every edit writes a word of its own, so that a lost edit is a lost word. Adds
 * a sentence to `faults` for each rule that is broken.
 */
export function createWords(faults: string[]) {
  const words = new Map<string, Word>()
  /** the words that each tab has removed or brought back */
  const movedBy = new Map<object, Set<string>>()
  let count = 0

  return {
    /** Returns a new word. */
    create(isFromSql = false): string {
      const word = `w${++count}`
      words.set(word, {
        isFromSql,
        isStored: false,
        isSettled: false,
        isReleased: false,
        isRemoved: false,
        isFound: false,
        version: 0
      })
      return word
    },

    /** Records a change in a tab, from the texts that it showed before and after. */
    change({ tab, sent, before, after, isUndo }: Made) {
      const [shown, left] = [wordsOf(before), wordsOf(after)]
      // A step that removed words of others, or restored them, may do so again.
      const moved = movedBy.get(tab) ?? new Set()
      movedBy.set(tab, moved.union(shown.symmetricDifference(left)))
      // A word that others have removed is shown as long as it seems that the own text becomes a conflict.
      for (const name of isUndo ? shown.difference(left).difference(moved) : []) {
        const word = words.get(name)
        if (word?.tab !== tab && !word?.isReleased)
          faults.push(`undo removed ${name} of another tab`)
      }
      release(shown.difference(left))
      // A choice or an undo may also bring back words of others.
      const added = [...left.difference(shown)]
        .flatMap(name => words.get(name) ?? [])
        .filter(word => (word.tab ?? tab) === tab && !word.isFromSql)
      for (const word of added) {
        word.tab = tab
        word.isSettled = word.isReleased = word.isRemoved = word.isStored = false
        word.version++
      }
      const versions = added.map(({ version }) => version)
      sent.settled.then(({ outcome }) => {
        for (const [n, word] of added.entries()) {
          if (word.version !== versions[n]) continue
          word.isSettled = true
          if (outcome === 'rejected') word.isReleased = true
        }
      })
    },

    release,

    /** Records that a tab has removed a line: the words of this tab in it may leave its view now or later. */
    remove(tab: { name: string }, text: string) {
      for (const name of wordsOf([text])) {
        const word = words.get(name)
        if (word?.tab === tab) word.isRemoved = true
      }
    },

    /** Records that the tabs of a device receive changes: the words that these remove may leave the views. */
    receive(tabs: { name: string }[], changes: { before?: unknown; after?: unknown }[]) {
      for (const { before = null, after = null } of changes) {
        const [old, now] = [wordsOf([JSON.stringify(before)]), wordsOf([JSON.stringify(after)])]
        for (const name of old.difference(now)) {
          const word = words.get(name)
          if (word && tabs.some(tab => tab === word.tab)) word.isRemoved = true
        }
      }
    },

    /** Records that an operation is stored on the device. */
    store(op: Operation) {
      for (const name of wordsOf([JSON.stringify(op)])) {
        const word = words.get(name)
        if (word) word.isStored = true
      }
    },

    /** Releases the words that a tab had not stored when it was killed. */
    kill(tab: { name: string }) {
      for (const word of words.values()) {
        if (word.tab !== tab) continue
        if (!word.isStored) word.isReleased = true
        word.isSettled = true
      }
    },

    /** Checks that a tab shows all of its words that are not settled, except `hidden` ones. */
    checkShown(tab: { name: string }, texts: string[], hidden: string[]) {
      const shown = wordsOf([...texts, ...hidden])
      const missing = [...words]
        .filter(([name, word]) => word.tab === tab && isPending(word) && !shown.has(name))
        .map(([name, word]) => ({ name, word, version: word.version }))
      if (missing.length === 0) return
      // The result of an operation changes the view first, and then settles.
      setImmediate(() => {
        for (const { name, word, version } of missing)
          if (isPending(word) && word.version === version)
            faults.push(`${tab.name} does not show ${name}, which is not settled`)
      })
    },

    /** Finds the words that the database contains: in the rows, in conflicts and in the log. */
    async find(sql: Sql, listId: string) {
      const [{ all }] = await sql<[{ all: string }]>`
        select concat_ws(' ',
          (select title from checklists where id = ${listId}),
          (select string_agg(text, ' ') from checklist_items where checklist_id = ${listId}),
          (select string_agg(concat_ws(' ', base, ours, theirs), ' ') from conflicts where checklist_id = ${listId}),
          (select string_agg(concat_ws(' ', before, after), ' ') from events where checklist_id = ${listId})
        ) as all`
      for (const name of wordsOf([all])) {
        const word = words.get(name)
        if (word) word.isFound = true
      }
    },

    checkNothingLost() {
      for (const [name, word] of words)
        if (word.tab && !word.isFound && !word.isReleased) faults.push(`${name} is lost`)
    }
  }

  function release(names: Iterable<string>) {
    for (const name of names) {
      const word = words.get(name)
      if (!word) continue
      word.isReleased = true
      word.version++
    }
  }

  function isPending({ isSettled, isReleased, isRemoved }: Word): boolean {
    return !isSettled && !isReleased && !isRemoved
  }
}

interface Made {
  tab: { name: string }
  sent: Sent
  before: string[]
  after: string[]
  isUndo: boolean
}
