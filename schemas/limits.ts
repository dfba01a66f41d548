/**
 * The limits of the contract, each written once. A length counts characters (Unicode code points). SQL has copies of
 * some, which test/schemas/limits.test.ts compares with these.
 */
export const maximum = {
  /** of an email address (RFC 5321, 4.5.3.1.3) */
  emailLength: 254,
  /** of the name of a user or project, and of the title of a checklist */
  nameLength: 200,
  /** of a password: only to bound the request, since argon2id takes as long for 4 KiB as for 7 bytes */
  passwordLength: 1024,

  /** of the text of an item */
  textLength: 2000,
  itemsPerChecklist: 1000,
  /** in one item.add */
  itemsPerAdd: 200,
  conflictsPerItem: 20,
  conflictsPerChecklist: 200,
  /** in one push, and in one POST /checklists/:checklistId/ops */
  operationsPerPush: 100,
  /** of a merged text, in a result */
  mergedParts: 64,

  /** in a page of projects, members or checklists */
  rowsPerPage: 100,
  /** in a page of GET /checklists/:checklistId/changes */
  changesPerPage: 500,
  /** in `project` of GET /events */
  projectsPerStream: 100,

  /** open on one socket */
  checklistsPerSocket: 100,
  /** of a message from a client on a socket */
  frameBytes: 256 << 10,
  /** peers of a checklist that a socket is shown, and the UTF-16 code units of their JSON */
  shownPeers: 100,
  shownPeersJson: 64 << 10
}
