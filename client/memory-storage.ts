import { combineEntry, type Entry, oldestToDelete, type Storage, type Store } from './storage.ts'
import type { ChecklistData, Me, Project } from './types.ts'

interface UserData {
  entries: Map<number, Entry>
  checklists: Map<string, ChecklistData>
  projects?: readonly Project[]
  lastSeq: number
  isDeleted: boolean
}

/** Returns a storage that lives as long as this object. Several clients that get the same one are like tabs. */
export function memoryStorage(): Storage {
  const users = new Map<string, UserData>()
  let lastUser: Me | null = null

  return {
    isPrivate: true,

    lastUser: async () => lastUser,

    async setLastUser(user) {
      lastUser = user
    },

    async open(userId) {
      let data = users.get(userId)
      if (!data) {
        data = { entries: new Map(), checklists: new Map(), lastSeq: 0, isDeleted: false }
        users.set(userId, data)
      }
      return openStore(data)
    },

    async delete(userId) {
      remove(userId)
    },

    async deleteOthers(userId) {
      for (const id of [...users.keys()]) if (id !== userId) remove(id)
    }
  }

  function remove(userId: string) {
    const data = users.get(userId)
    if (data) data.isDeleted = true
    users.delete(userId)
  }
}

function openStore(data: UserData): Store {
  let isClosed = false

  return {
    async entries() {
      return [...use().entries.values()]
    },

    async append(checklistId, op, combine) {
      const { entries } = use()
      const combined = combineEntry(combine && entries.get(combine.seq), combine)
      if (combine && combined === null) {
        entries.delete(combine.seq)
        return { removed: combine.seq }
      }
      const entry = combined ?? {
        ...{ seq: ++data.lastSeq, checklistId, op, version: 0, isSent: false }
      }
      entries.set(entry.seq, entry)
      return { entry }
    },

    async markSent(seqs) {
      const { entries } = use()
      const found = seqs.flatMap(seq => entries.get(seq) ?? [])
      return found.map(entry => {
        const sent = { ...entry, isSent: true }
        entries.set(sent.seq, sent)
        return sent
      })
    },

    async remove(seqs) {
      const { entries } = use()
      for (const seq of seqs) entries.delete(seq)
    },

    async checklist(id) {
      return use().checklists.get(id)
    },

    async saveChecklist(checklist) {
      const { checklists } = use()
      checklists.delete(checklist.id)
      checklists.set(checklist.id, checklist)
      const ids = [...checklists.keys()]
      for (const id of ids.slice(0, oldestToDelete(ids.length))) checklists.delete(id)
    },

    async removeChecklist(id) {
      use().checklists.delete(id)
    },

    async projects() {
      return use().projects
    },

    async saveProjects(projects) {
      use().projects = projects
    },

    close() {
      isClosed = true
    }
  }

  function use(): UserData {
    if (isClosed || data.isDeleted) throw new Error('the store is closed')
    return data
  }
}
