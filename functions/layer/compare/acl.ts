/** POSIX ACLs as attributes show them (acl(5)): a version, then for each entry its tag, permissions and ID. */

const VERSION = 2
const HEADER = 4
const ENTRY = 8
const TAG = { owner: 0x01, user: 0x02, ownGroup: 0x04, group: 0x08, mask: 0x10, others: 0x20 } as const
const NO_ID = 0xffffffff

/**
 * What the kernel shows of an access ACL that was set before this mode: the mode's permissions stand in the ACL too, and one
 * that says no more than the mode is none. Byte strings; one that is no ACL is given back as it is.
 */
export function shownAccessAcl(value: string, mode: number): string | undefined {
  const acl = withoutIDs(value)
  if (acl === undefined) return value
  const tags = tagsOf(acl)
  if (!tags.some((tag) => tag === TAG.user || tag === TAG.group || tag === TAG.mask)) return undefined
  for (const [index, tag] of tags.entries()) {
    const shift = tag === TAG.owner ? 6 : tag === TAG.others ? 0 : tag === groupOf(tags) ? 3 : undefined
    if (shift !== undefined) acl.writeUInt16LE((mode >> shift) & 0o7, HEADER + index * ENTRY + 2)
  }
  return acl.toString('latin1')
}

/** What the kernel shows of a default ACL. */
export function shownDefaultAcl(value: string): string | undefined {
  const acl = withoutIDs(value)
  if (acl === undefined) return value
  return acl.length === HEADER ? undefined : acl.toString('latin1')
}

/** Whose permissions the group's bits of the mode are. */
function groupOf(tags: readonly number[]): number {
  return tags.includes(TAG.mask) ? TAG.mask : TAG.ownGroup
}

// Only named users and groups have an ID.
function withoutIDs(value: string): Buffer | undefined {
  const acl = Buffer.from(value, 'latin1')
  if (acl.length < HEADER || (acl.length - HEADER) % ENTRY !== 0 || acl.readUInt32LE(0) !== VERSION) return undefined
  for (const [index, tag] of tagsOf(acl).entries()) {
    if (tag !== TAG.user && tag !== TAG.group) acl.writeUInt32LE(NO_ID, HEADER + index * ENTRY + 4)
  }
  return acl
}

function tagsOf(acl: Buffer): number[] {
  return Array.from({ length: (acl.length - HEADER) / ENTRY }, (_, index) => acl.readUInt16LE(HEADER + index * ENTRY))
}
