/**
 * What layers mean, in memory: image-spec's changesets with containerd's decisions where the specification leaves them
 * open (missing parents are made, also behind symbolic links; a hard link's header applies to the file).
 */
import { createHash } from 'node:crypto'
import type { TarEntry } from '../../support/images/entries.ts'
import type { Listed, Listing } from './sandbox.ts'

/** The layer cannot be applied. */
export class ModelError extends Error {}

interface Meta {
  mode: number
  uid: number
  gid: number
  mtime: number | undefined
}
interface Leaf extends Meta {
  kind: 'file' | 'symlink' | 'fifo'
  data: Uint8Array
  target: string
  layer: number
}
interface Dir extends Meta {
  kind: 'directory'
  children: Map<string, Node>
  parent: Dir | undefined
  name: string
  /** Names written by the present layer, or above what it wrote. */
  written: Set<string>
}
type Node = Leaf | Dir

const newDir = (parent: Dir | undefined, name: string): Dir => ({
  kind: 'directory',
  children: new Map(),
  parent,
  name,
  written: new Set(),
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: undefined,
})

export class Model {
  readonly #root = newDir(undefined, '')
  #layer = 0
  /** Whether a hard link went to a file that has several names in the layers below: overlayfs takes those apart. */
  crossLinked = false

  apply(entries: readonly TarEntry[]): void {
    this.#layer++
    this.#forget(this.#root)
    for (const entry of entries) this.#entry(entry)
  }

  #forget(dir: Dir): void {
    dir.written.clear()
    for (const child of dir.children.values()) if (child.kind === 'directory') this.#forget(child)
  }

  #entry(entry: TarEntry): void {
    if (entry.type === 'raw') return
    const path = entry.path.split('/').filter((part) => part !== '')
    const name = path.pop() ?? ''
    if (name.startsWith('.wh.')) this.#hide(path, name)
    else this.#write(this.#find(path, true), name, entry)
  }

  /** What is not there needs no hiding. */
  #hide(path: readonly string[], name: string): void {
    const directory = this.#find(path, 'replace')
    if (directory === undefined) return
    if (name === '.wh..wh..opq') this.#prune(directory)
    else this.#whiteout(directory, name.slice(4))
  }

  #whiteout(parent: Dir, name: string): void {
    const there = parent.children.get(name)
    if (!parent.written.has(name)) this.#remove(parent, name)
    else if (there?.kind === 'directory') this.#prune(there)
  }

  #prune(dir: Dir): void {
    for (const [name, child] of dir.children) {
      if (!dir.written.has(name)) this.#remove(dir, name)
      else if (child.kind === 'directory') this.#prune(child)
    }
  }

  #remove(parent: Dir, name: string): void {
    const there = parent.children.get(name)
    if (there?.kind === 'directory') for (const child of there.children.keys()) this.#remove(there, child)
    parent.children.delete(name)
    parent.written.delete(name)
  }

  #write(parent: Dir, name: string, entry: Exclude<TarEntry, { type: 'raw' }>): void {
    const meta = { mode: entry.mode ?? 0o644, uid: entry.uid ?? 0, gid: entry.gid ?? 0, mtime: entry.mtime ?? 0 }
    const leaf = (kind: Leaf['kind'], data: Uint8Array, target: string): void => {
      this.#remove(parent, name)
      parent.children.set(name, { ...meta, kind, data, target, layer: this.#layer })
    }
    const nothing = new Uint8Array()
    if (entry.type === 'file') leaf('file', entry.data, '')
    else if (entry.type === 'symlink') leaf('symlink', nothing, entry.target)
    else if (entry.type === 'fifo') leaf('fifo', nothing, '')
    else if (entry.type === 'hardlink') this.#link(parent, name, entry.target, meta)
    else {
      let dir = parent.children.get(name)
      if (dir?.kind !== 'directory') {
        this.#remove(parent, name)
        dir = newDir(parent, name)
        parent.children.set(name, dir)
      }
      Object.assign(dir, meta)
    }
    this.#mark(parent, name)
  }

  #link(parent: Dir, name: string, target: string, meta: Meta): void {
    const path = target.split('/').filter((part) => part !== '')
    const last = path.pop() ?? ''
    const above = this.#find(path, false)
    if (above?.children.has(last) !== true) throw new ModelError('no target')
    this.#remove(parent, name)
    const there = above.children.get(last)
    if (there === undefined || there.kind === 'directory') throw new ModelError('no target')
    if (there.layer !== this.#layer && this.#names(this.#root, there) > 1) this.crossLinked = true
    there.layer = this.#layer
    Object.assign(there, there.kind === 'symlink' ? { ...meta, mode: there.mode } : meta)
    parent.children.set(name, there)
  }

  #names(dir: Dir, leaf: Leaf): number {
    let count = 0
    for (const child of dir.children.values()) {
      if (child === leaf) count++
      else if (child.kind === 'directory') count += this.#names(child, leaf)
    }
    return count
  }

  #mark(parent: Dir, name: string): void {
    parent.written.add(name)
    for (let dir = parent; dir.parent !== undefined; dir = dir.parent) dir.parent.written.add(dir.name)
  }

  #find(path: readonly string[], make: true): Dir
  #find(path: readonly string[], make: boolean | 'replace'): Dir | undefined
  /** @param make whether missing directories are made; `replace`: only in the place of a file that a layer below has. */
  #find(path: readonly string[], make: boolean | 'replace'): Dir | undefined {
    let dir = this.#root
    const steps = [...path]
    for (let links = 0, step = steps.shift(); step !== undefined; step = steps.shift()) {
      if (step === '..') dir = dir.parent ?? dir
      if (step === '..' || step === '.' || step === '') continue
      const child = dir.children.get(step)
      if (child === undefined) {
        if (make !== true) return undefined
        const made = newDir(dir, step)
        dir.children.set(step, made)
        dir = made
      } else if (child.kind === 'directory') dir = child
      else if (child.kind === 'symlink') {
        if (++links > 30) throw new ModelError('too many links')
        if (child.target.startsWith('/')) dir = this.#root
        steps.unshift(...child.target.split('/'))
      } else {
        // A layer that names what is in it says that it is a directory, unless it says itself that it is none.
        if (!make || dir.written.has(step)) throw new ModelError('not a directory')
        const made = newDir(dir, step)
        dir.children.set(step, made)
        dir = made
      }
    }
    return dir
  }

  /** The tree in the form of `list`; times that are nobody's to say are left out. */
  list(): Listing {
    const listing: Listing = {}
    const names = new Map<Leaf, string[]>()
    this.#list(this.#root, '', listing, names)
    for (const group of names.values()) {
      if (group.length > 1) for (const path of group) listing[path] = { ...listing[path], group: group[0] ?? '' }
    }
    return listing
  }

  #list(dir: Dir, at: string, listing: Listing, names: Map<Leaf, string[]>): void {
    for (const [name, node] of [...dir.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const path = at === '' ? name : `${at}/${name}`
      listing[path] = listed(node)
      if (node.kind === 'directory') this.#list(node, path, listing, names)
      else names.set(node, [...(names.get(node) ?? []), path])
    }
  }
}

function listed(node: Node): Listed {
  const common = {
    kind: node.kind,
    mode: node.kind === 'symlink' ? 0o777 : node.mode,
    uid: node.uid,
    gid: node.gid,
    xattrs: [],
    major: 0,
    minor: 0,
    ...(node.mtime === undefined ? {} : { mtime: { seconds: node.mtime, nanoseconds: 0 } }),
  }
  if (node.kind === 'directory') return common
  if (node.kind === 'symlink') return { ...common, target: node.target, size: node.target.length }
  if (node.kind === 'fifo') return { ...common, size: 0 }
  return { ...common, size: node.data.length, sha256: createHash('sha256').update(node.data).digest('hex') }
}
