/** What a tree changes in the one below it, found by walking both (image-spec 1.1, "Representing Changes"). */
import { closeSync, readSync } from 'node:fs'
import { setImmediate as yieldToOthers } from 'node:timers/promises'
import { checkAborted } from '../../kit/abort.ts'
import { AT_FDCWD, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openAt, RESOLVE_NO_SYMLINKS } from '../../linux/at.ts'
import { fromByteString, toByteString } from '../../linux/bytes.ts'
import { must } from '../../linux/libc.ts'
import { walk, type WalkEntry } from '../../linux/walk.ts'
import { isOfLayers } from '../xattr.ts'

/** One thing that a layer says: what is at a path, that a path is a hard link to another, or that a path is deleted. */
export type Change =
  | { kind: 'written'; entry: WalkEntry }
  | { kind: 'linked'; entry: WalkEntry; to: string }
  | { kind: 'deleted'; path: string }
  /** The lower tree does not show in this directory. */
  | { kind: 'opaque'; path: string }

/** A change, or an unchanged file with several names, which belongs to the layer if one of its other names has changed. */
type Found = Change | { kind: 'kept'; entry: WalkEntry; was: WalkEntry }

const ENTRIES_AT_ONCE = 256

/**
 * The changes, each directory before what is in it.
 * @param lower the tree below; nothing where it is undefined
 */
export async function changesBetween(lower: string | undefined, upper: string, signal: AbortSignal): Promise<Change[]> {
  const below = new Cursor(lower === undefined ? [].values() : walk(lower))
  const above = new Cursor(walk(upper))
  const found: Found[] = []
  for (let count = 1; above.entry !== undefined || below.entry !== undefined; count++) {
    if (count % ENTRIES_AT_ONCE === 0) await yieldToOthers()
    checkAborted(signal)
    const order = comparePaths(below.entry?.path, above.entry?.path)
    if (order < 0 && below.entry !== undefined) {
      found.push({ kind: 'deleted', path: below.entry.path })
      below.pass()
    } else if (above.entry !== undefined) {
      const { entry } = above
      const was = order === 0 ? below.entry : undefined
      if (was !== undefined && hasLost(was, entry)) {
        const { path } = entry
        found.push({ kind: 'deleted', path }, { kind: 'written', entry }, { kind: 'opaque', path })
        below.pass()
        above.next()
        continue
      }
      if (was === undefined || !isSame(was, entry) || !hasSameContent(lower ?? '', upper, entry)) {
        found.push({ kind: 'written', entry })
      } else if (isShared(entry)) found.push({ kind: 'kept', entry, was })
      above.next()
      if (was === undefined) continue
      if (entry.kind === 'directory') below.next()
      else below.pass()
    }
  }
  return linked(found)
}

/** The present entry of a walk. The root itself is passed over, because appliers take nothing of it from layers. */
class Cursor {
  readonly #walk: Iterator<WalkEntry>
  entry: WalkEntry | undefined

  constructor(entries: Iterator<WalkEntry>) {
    this.#walk = entries
    this.next()
    if (this.entry?.path === '') this.next()
  }

  next(): void {
    const { value, done } = this.#walk.next()
    this.entry = done === true ? undefined : (value as WalkEntry)
  }

  /** Passes over the content of the present directory. */
  pass(): void {
    const inside = `${this.entry?.path ?? ''}/`
    do this.next()
    while (this.entry?.path.startsWith(inside) === true)
  }
}

/** The order of walks; undefined, for a walk at its end, comes last. */
function comparePaths(one: string | undefined, other: string | undefined): number {
  if (one === other) return 0
  if (one === undefined) return 1
  if (other === undefined) return -1
  // No name has a NUL, so that what is in a directory comes before all that begins with its name.
  return one.replaceAll('/', '\0') < other.replaceAll('/', '\0') ? -1 : 1
}

function isSame(was: WalkEntry, is: WalkEntry): boolean {
  return JSON.stringify(factsOf(was)) === JSON.stringify(factsOf(is))
}

function factsOf({ kind, mode, uid, gid, size, links, mtime, target, major, minor, xattrs }: WalkEntry): unknown[] {
  const attributes = xattrs.filter(([name]) => isOfLayers(name))
  const counts = kind === 'directory' ? [] : [size, links]
  return [kind, mode, uid, gid, counts, mtime, target, major, minor, attributes]
}

/** Whether a directory has lost an attribute. An entry can remove none, so the directory is deleted and written anew. */
function hasLost(was: WalkEntry, is: WalkEntry): boolean {
  if (was.kind !== 'directory' || is.kind !== 'directory') return false
  return was.xattrs.some(([name]) => isOfLayers(name) && !is.xattrs.some(([other]) => other === name))
}

const blocks = [Buffer.alloc(1 << 18), Buffer.alloc(1 << 18)] as const

/** Compares bytes: builders set all times to one value, so that size and time do not tell a change. */
function hasSameContent(lower: string, upper: string, { kind, path }: WalkEntry): boolean {
  if (kind !== 'file') return true
  const fds = [openBelow(lower, path), openBelow(upper, path)] as const
  try {
    for (;;) {
      const [one, other] = [readSync(fds[0], blocks[0]), readSync(fds[1], blocks[1])]
      if (one !== other || blocks[0].compare(blocks[1], 0, one, 0, one) !== 0) return false
      if (one === 0) return true
    }
  } finally {
    for (const fd of fds) closeSync(fd)
  }
}

/** Opens a file of a tree for reading, through no link of that tree. */
export function openBelow(root: string, path: string): number {
  const fd = must(openAt(AT_FDCWD, toByteString(root), O_RDONLY | O_DIRECTORY), 'openat2', root)
  try {
    const options = { resolve: RESOLVE_NO_SYMLINKS }
    return must(openAt(fd, path, O_RDONLY | O_NOFOLLOW, options), 'openat2', fromByteString(path))
  } finally {
    closeSync(fd)
  }
}

/** The names of one file become links to the first of them, all of them in the layer as soon as one is. */
function linked(found: readonly Found[]): Change[] {
  const written = regrouped(found)
  for (const one of found) if (one.kind === 'written' && isShared(one.entry)) written.add(fileOf(one.entry))
  const first = new Map<string, string>()
  return found.flatMap((one): Change[] => {
    if (!('entry' in one)) return [one]
    if (one.kind === 'linked' || !isShared(one.entry)) return one.kind === 'kept' ? [] : [one]
    const file = fileOf(one.entry)
    if (!written.has(file)) return []
    const to = first.get(file)
    if (to !== undefined) return [{ kind: 'linked', entry: one.entry, to }]
    first.set(file, one.entry.path)
    return [{ kind: 'written', entry: one.entry }]
  })
}

/** Unchanged names that were of different files and are of one now, or the other way round. */
function regrouped(found: readonly Found[]): Set<string> {
  const written = new Set<string>()
  const [before, now] = [new Map<string, string>(), new Map<string, string>()]
  for (const one of found) {
    if (one.kind !== 'kept') continue
    const [was, is] = [fileOf(one.was), fileOf(one.entry)]
    const other = now.get(was) ?? is
    if ((before.get(is) ?? was) !== was || other !== is) written.add(is).add(other)
    before.set(is, was)
    now.set(was, is)
  }
  return written
}

function isShared({ kind, links }: WalkEntry): boolean {
  return kind !== 'directory' && links > 1
}

function fileOf({ device, inode }: WalkEntry): string {
  return `${device} ${inode}`
}
