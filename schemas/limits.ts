/**
 * The limits of the contract. TypeScript code takes these numbers only from here. A length counts characters (Unicode code
 * points). SQL has copies of some limits, and test/schemas/limits.test.ts compares them with these.
 */
export const maximum = {
  /** length of an email address (RFC 5321, 4.5.3.1.3) */
  emailLength: 254,
  /** length of the name of a user or project, and of the title of a checklist */
  nameLength: 200,
  /**
   * length of a password; it only limits the size of a request, since argon2id takes as long for 4 KiB as for 7 bytes
   */
  passwordLength: 1024,

  /** length of the text of an item */
  textLength: 2000,
  itemsPerChecklist: 1000,
  /** items in one `item.add` */
  itemsPerAdd: 200,
  conflictsPerItem: 20,
  conflictsPerChecklist: 200,
  /** operations in one push, and in one POST /checklists/:checklistId/ops */
  operationsPerPush: 100,
  /** parts of a merged text in a result */
  mergedParts: 64,

  /** rows in a page of projects, members or checklists */
  rowsPerPage: 100,
  /** changes in a page of GET /checklists/:checklistId/changes */
  changesPerPage: 500,
  /** ids in the parameter `project` of GET /events */
  projectsPerStream: 100,

  /** checklists that are open on one socket */
  checklistsPerSocket: 100,
  /** bytes of a message from a client on a socket */
  frameBytes: 256 << 10,
  /** peers of a checklist that are shown to its sockets, and the length of their JSON in UTF-16 code units */
  shownPeers: 100,
  shownPeersJson: 64 << 10
}
