/** A file system tree in memory, as layers describe it. Names, paths and attributes are byte strings (linux/bytes.ts). */
import { S_IFBLK, S_IFCHR } from '../../linux/at.ts'
import type { Metadata } from '../read/entry.ts'
import { CAPABILITY, isOfLayers } from '../xattr.ts'

export type LeafKind = 'file' | 'symlink' | 'char' | 'block' | 'fifo'

/** An extended attribute; not sure where a hard link's entry, which describes its file anew, leaves it out. */
export interface Attribute {
  value: string
  sure: boolean
}

export interface Owned {
  /** Permissions with setuid, setgid and sticky. */
  mode: number
  uid: number
  gid: number
  xattrs: Map<string, Attribute>
}

/** Anything but a directory. Hard links share one. */
export interface Leaf extends Owned {
  kind: LeafKind
  size: number
  /** Of a symbolic link. */
  target: string
  /** Of a device. */
  major: number
  minor: number
  /** Of a file's content, in hexadecimal, where contents are read. */
  sha256: string | undefined
  /** How many names it has. */
  names: number
  /** The layer that wrote it, or that gave it another name. */
  layer: number
  /** Whether mode, owner and attributes can be told: a link to it from another layer changes them or does not. */
  sure: boolean
}

export interface Dir extends Owned {
  kind: 'directory'
  children: Map<string, Slot>
  parent: Dir | undefined
  /** Its place in its parent; undefined for the root. */
  slot: Slot | undefined
  /** What layers deleted here and did not write again. */
  hidden: Map<string, Hidden> | undefined
  /** What a directory of this name held when a layer deleted it. */
  before: Hidden | undefined
}

export type TreeNode = Leaf | Dir

/** A name in a directory. */
export interface Slot {
  node: TreeNode
  /** The layer that last wrote the name or something below it; -1 where it was only made on the way to a whiteout. */
  layer: number
  /** Made or kept for the sake of what is below, without an entry of its own in that layer. */
  implied: boolean
  /** May be absent: appliers differ on what an archive in this order means. */
  optional: boolean
}

export interface Hidden {
  /** The layer that deleted it. */
  layer: number
  node: TreeNode
}

export function newDirectory(parent: Dir | undefined): Dir {
  return {
    kind: 'directory',
    mode: 0o755,
    uid: 0,
    gid: 0,
    xattrs: new Map(),
    children: new Map(),
    parent,
    slot: undefined,
    hidden: undefined,
    before: undefined,
  }
}

/** What layers deleted at a name, by itself or with the directory. */
export function hiddenAt({ hidden, before }: Dir, name: string): Hidden | undefined {
  return hidden?.get(name) ?? hiddenBelow(before, name)
}

/** What a deleted directory held at a name. */
function hiddenBelow(before: Dir['before'], name: string): Hidden | undefined {
  if (before?.node.kind !== 'directory') return undefined
  const slot = before.node.children.get(name)
  return slot === undefined ? undefined : { layer: before.layer, node: slot.node }
}

/** Whether the node has attributes of layers that an entry of it leaves out. */
export function losesAttributes(node: TreeNode, { xattrs }: Metadata): boolean {
  return [...node.xattrs.keys()].some((name) => isOfLayers(name) && !xattrs.some(([kept]) => kept === name))
}

/**
 * Takes over what an entry says. A directory's attributes are replaced (image-spec 1.1, "Changeset over existing files").
 * `trusted.` ones are the node's own, and never taken from layers.
 */
export function describeNode(node: TreeNode, { mode, uid, gid, xattrs }: Metadata): void {
  node.mode = mode
  node.uid = uid
  node.gid = gid
  if (node.kind === 'directory') node.xattrs.clear()
  // A file that a hard link describes again without it: the kernel takes capabilities away at a change of owner.
  const capability = node.xattrs.get(CAPABILITY)
  if (capability !== undefined) capability.sure = false
  for (const [name, value] of xattrs) {
    if (!name.startsWith('trusted.')) node.xattrs.set(name, { value, sure: true })
  }
}

/** The character device 0:0 is overlayfs's own sign that nothing is there: under it there is no such file. */
export function isNothing(slot: Slot | undefined): boolean {
  const node = slot?.node
  return node?.kind === 'char' && node.major === 0 && node.minor === 0
}

/** Whether the node is the directory, or one above it. */
export function isWithin(directory: Dir | undefined, node: Leaf | Dir): boolean {
  for (let at = directory; at !== undefined; at = at.parent) if (at === node) return true
  return false
}

/** The kind of a node by its type, S_IFCHR, S_IFBLK or S_IFIFO. */
export function nodeKind(type: number): LeafKind {
  return type === S_IFCHR ? 'char' : type === S_IFBLK ? 'block' : 'fifo'
}
