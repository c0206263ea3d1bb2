/** Compares a tree as it is on the disk with the tree that layers describe. */
import { fromByteString } from '../../linux/bytes.ts'
import type { FileKind, WalkEntry } from '../../linux/walk.ts'
import { ACCESS_ACL, CAPABILITY, DEFAULT_ACL, isOfLayers } from '../xattr.ts'
import { shownAccessAcl, shownDefaultAcl } from './acl.ts'
import { hiddenAt, type Dir, type Leaf, type Owned, type TreeNode } from './tree-node.ts'

/** One thing that is not as the layers describe it. Paths and values are for people: bytes that are no UTF-8 are replaced. */
export type TreeDifference =
  | MissingFile
  /** Nothing describes it; with all that is below it. */
  | { code: 'EXTRA'; path: string; actual: FileKind }
  /** A layer, counted from 0, deleted it. */
  | { code: 'DELETED_BACK'; path: string; actual: FileKind; layer: number }
  | {
      code: 'KIND' | 'TARGET' | 'DEVICE' | 'MODE' | 'OWNER' | 'CONTENT'
      path: string
      expected: string
      actual: string
    }
  | { code: 'SIZE'; path: string; expected: number; actual: number }
  | XattrDifference

export interface MissingFile {
  code: 'MISSING'
  path: string
  expected: FileKind
}

/** A difference that the node may be the cause of: its file system has no such attributes, or it can make no device nodes. */
export type UnsureDifference = XattrDifference | MissingFile

/** Values are in hexadecimal; null for none. */
export interface XattrDifference {
  code: 'XATTR'
  path: string
  name: string
  expected: string | null
  actual: string | null
}

interface Open {
  directory: Dir
  path: string
  seen: Set<string>
}

/** Takes what a walk finds, in its order (linux/walk.ts), and gives what differs. */
export class TreeComparison {
  readonly #open: Open[]
  readonly #contents: boolean
  // Namespaces of attributes (xattr(7)) that some file has here: where none has any, the file system may not know them.
  readonly #namespaces = new Set<string>()
  readonly #lacking: XattrDifference[] = []
  // Whether device nodes can be made here, or one is there.
  #devices: boolean
  readonly #missingDevices: MissingFile[] = []
  // The directory whose content is passed over, with a slash: the described tree has no such directory.
  #skipped: string | undefined

  /** @param options.devices whether device nodes could be made here, which they cannot in a user namespace */
  constructor(expected: Dir, options: { contents: boolean; devices?: boolean }) {
    this.#open = [{ directory: expected, path: '', seen: new Set() }]
    this.#contents = options.contents
    this.#devices = options.devices ?? true
  }

  *entry(entry: WalkEntry): Generator<TreeDifference> {
    const { path } = entry
    // The root directory itself is the snapshotter's: appliers take nothing of it from layers.
    if (path === '') return
    if (isDevice(entry.kind)) this.#devices = true
    for (const [name] of entry.xattrs) this.#namespaces.add(namespaceOf(name))
    if (this.#skipped !== undefined && path.startsWith(this.#skipped)) return
    this.#skipped = undefined
    const slash = path.lastIndexOf('/')
    const above = slash === -1 ? '' : path.slice(0, slash)
    const name = path.slice(slash + 1)
    while (this.#open.length > 1 && this.#open.at(-1)?.path !== above) yield* this.#close()
    const open = this.#open.at(-1)
    if (open === undefined) return
    open.seen.add(name)
    const node = open.directory.children.get(name)?.node
    if (node === undefined) {
      if (entry.kind === 'directory') this.#skipped = `${path}/`
      const found = extra(open, name, entry)
      if (found !== undefined) yield found
      return
    }
    if (entry.kind === 'directory') {
      if (node.kind === 'directory') this.#open.push({ directory: node, path, seen: new Set() })
      else this.#skipped = `${path}/`
    }
    yield* this.#compare(node, entry)
  }

  /** To be called when the walk is over: gives what was not found. */
  *finish(): Generator<TreeDifference> {
    while (this.#open.length > 0) yield* this.#close()
    yield* this.#lacking.filter((difference) => this.#knows(difference.name))
    if (this.#devices) yield* this.#missingDevices
  }

  /** After `finish`: attributes that are missing where no file has one of their kind, and device nodes where none can be made. */
  get unsure(): UnsureDifference[] {
    const attributes = this.#lacking.filter((difference) => !this.#knows(difference.name))
    return this.#devices ? attributes : [...attributes, ...this.#missingDevices]
  }

  #knows(name: string): boolean {
    return this.#namespaces.has(namespaceOf(name))
  }

  *#close(): Generator<TreeDifference> {
    const open = this.#open.pop()
    if (open === undefined) return
    for (const [name, { node, optional }] of open.directory.children) {
      if (optional || open.seen.has(name)) continue
      const path = open.path === '' ? name : `${open.path}/${name}`
      const missing = { code: 'MISSING' as const, path: fromByteString(path), expected: node.kind }
      if (isDevice(node.kind)) this.#missingDevices.push(missing)
      else yield missing
    }
  }

  *#compare(node: TreeNode, entry: WalkEntry): Generator<TreeDifference> {
    const path = fromByteString(entry.path)
    if (node.kind !== entry.kind) {
      yield { code: 'KIND', path, expected: node.kind, actual: entry.kind }
      return
    }
    if (node.kind !== 'directory') yield* this.#compareLeaf(node, entry, path)
    if (node.kind === 'directory' || node.sure) yield* this.#compareOwned(node, entry, path)
  }

  *#compareLeaf(leaf: Leaf, entry: WalkEntry, path: string): Generator<TreeDifference> {
    if (leaf.kind === 'file' && leaf.size !== entry.size) {
      yield { code: 'SIZE', path, expected: leaf.size, actual: entry.size }
    } else if (this.#contents && leaf.kind === 'file' && leaf.sha256 !== entry.sha256) {
      yield { code: 'CONTENT', path, expected: `sha256:${leaf.sha256}`, actual: `sha256:${entry.sha256}` }
    }
    if (leaf.kind === 'symlink' && leaf.target !== entry.target) {
      yield { code: 'TARGET', path, expected: fromByteString(leaf.target), actual: fromByteString(entry.target ?? '') }
    }
    if ((leaf.kind === 'char' || leaf.kind === 'block') && (leaf.major !== entry.major || leaf.minor !== entry.minor)) {
      const [expected, actual] = [`${leaf.major}:${leaf.minor}`, `${entry.major}:${entry.minor}`]
      yield { code: 'DEVICE', path, expected, actual }
    }
  }

  *#compareOwned(node: TreeNode & Owned, entry: WalkEntry, path: string): Generator<TreeDifference> {
    // A symbolic link has no mode of its own on Linux.
    if (node.kind !== 'symlink' && node.mode !== entry.mode) {
      yield { code: 'MODE', path, expected: octal(node.mode), actual: octal(entry.mode) }
    }
    if (node.uid !== entry.uid || node.gid !== entry.gid) {
      yield { code: 'OWNER', path, expected: `${node.uid}:${node.gid}`, actual: `${entry.uid}:${entry.gid}` }
    }
    const found = new Map(entry.xattrs.filter(([name]) => isOfLayers(name)))
    for (const [name, { value, sure }] of node.xattrs) {
      if (!sure || !isOfLayers(name) || !canHave(node, name)) continue
      const expected = shownBy(node, name, value)
      const actual = found.get(name)
      if (actual === expected) continue
      const difference = { code: 'XATTR' as const, path, ...shown(name, expected, actual) }
      if (actual === undefined) this.#lacking.push(difference)
      else yield difference
    }
    for (const [name, actual] of found) {
      if (!node.xattrs.has(name)) yield { code: 'XATTR', path, ...shown(name, undefined, actual) }
    }
  }
}

function extra(open: Open, name: string, entry: WalkEntry): TreeDifference | undefined {
  // ext4 makes this one by itself, where a snapshot is a file system of its own.
  if (entry.path === 'lost+found' && entry.kind === 'directory') return undefined
  const path = fromByteString(entry.path)
  const hidden = hiddenAt(open.directory, name)
  if (hidden === undefined) return { code: 'EXTRA', path, actual: entry.kind }
  return { code: 'DELETED_BACK', path, actual: entry.kind, layer: hidden.layer }
}

function isDevice(kind: FileKind): boolean {
  return kind === 'char' || kind === 'block'
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

function shown(name: string, expected: string | undefined, actual: string | undefined) {
  return { name: fromByteString(name), expected: hex(expected), actual: hex(actual) }
}

function hex(value: string | undefined): string | null {
  return value === undefined ? null : Buffer.from(value, 'latin1').toString('hex')
}

function namespaceOf(name: string): string {
  return name === CAPABILITY ? name : name.slice(0, name.indexOf('.'))
}

/** What the kernel shows of an attribute that an entry gave; undefined for none. */
function shownBy(node: Owned, name: string, value: string): string | undefined {
  if (name === ACCESS_ACL) return shownAccessAcl(value, node.mode)
  return name === DEFAULT_ACL ? shownDefaultAcl(value) : value
}

function canHave({ kind }: TreeNode, name: string): boolean {
  return kind === 'file' || (kind === 'directory' && name !== CAPABILITY)
}
