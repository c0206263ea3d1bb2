/**
 * The tree that layers describe, layer upon layer (image-spec 1.1, "Image Layer Filesystem Changeset"), with the decisions of
 * containerd and of layercast's own applier (apply/writer.ts): missing parents are made, also behind symbolic links, and also
 * in place of a file of the layers below (`#removeLowerFile` there says why); a whiteout is of the layers below alone; a hard
 * link's entry describes the file. Where the two appliers decide differently, the tree says that both are right.
 */
import { fromByteString } from '../../linux/bytes.ts'
import type { Entry, Make } from '../read/entry.ts'
import { tooLarge, unsafe } from '../read/guard.ts'
import type { LayerSink } from '../read/layer.ts'
import { corrupt } from '../read/tar-header.ts'
import { ContentHash } from './content-hash.ts'
import type { OnReliance, Reliance } from './reliance.ts'
import {
  describeNode,
  hiddenAt,
  isNothing,
  isWithin,
  losesAttributes,
  newDirectory,
  nodeKind,
  type Dir,
  type Leaf,
  type Slot,
} from './tree-node.ts'

/** The most names that a tree takes in all: a bound on memory, some 300 bytes each. */
const MOST_NODES = 4_000_000
/** The most symbolic links in one path, as in the applier. */
const LINKS = 255

type Content = Exclude<Entry, { kind: 'whiteout' | 'opaque' }>

export class DescribedTree implements LayerSink {
  readonly root: Dir = newDirectory(undefined)
  readonly #contents: ContentHash | undefined
  readonly #most: number
  readonly #onReliance: OnReliance | undefined
  #layer = -1
  // What stood, before this layer, at the names of the root that the layer's snapshotter does not show.
  #beneath = new Map<string, Slot | undefined>()
  #made = 0
  // Of the present entry, for `onReliance`.
  #path: readonly string[] = []

  /**
   * @param options.contents whether files are hashed
   * @param options.onReliance told of entries that rely on the layers below
   */
  constructor(options: { contents: boolean; most?: number; onReliance?: OnReliance }) {
    this.#contents = options.contents ? new ContentHash() : undefined
    this.#onReliance = options.onReliance
    this.#most = options.most ?? MOST_NODES
  }

  /**
   * Layers come from the base up.
   * @param hides names in the layer's root that its snapshotter does not show, so that those of the layers below stay seen
   */
  nextLayer(hides: readonly string[] = []): void {
    this.#layer++
    this.#beneath = new Map(hides.map((name) => [name, this.root.children.get(name)]))
  }

  /** The layer is complete. */
  finish(): void {
    for (const [name, below] of this.#beneath) {
      const slot = this.root.children.get(name)
      if (slot === below || slot?.layer !== this.#layer) continue
      this.#remove(this.root, name)
      if (below === undefined) continue
      if (below.node.kind !== 'directory') below.node.names++
      this.root.children.set(name, below)
    }
  }

  /** Starts an entry; a file's data follows, then `end`. LAYER_CORRUPT, LAYER_UNSAFE, LAYER_TOO_LARGE. */
  begin(entry: Entry): void {
    this.#path = entry.path
    if (entry.kind === 'opaque' || entry.kind === 'whiteout') this.#hideFor(entry)
    else this.#write(entry)
  }

  /** Bytes of the present file, in order. */
  data(bytes: Uint8Array, offset: number): void {
    this.#contents?.data(bytes, offset)
  }

  /** The present entry is complete. */
  end(): void {
    this.#contents?.end()
  }

  #hideFor(entry: Exclude<Entry, Content>): void {
    const directory = this.#find(entry.path, 'unhidden')
    if (directory === undefined) {
      this.#relies('deleted')
      return
    }
    if (entry.kind === 'opaque' && directory === this.root) this.#relies('opaque root')
    if (entry.kind === 'opaque') this.#prune(directory)
    else this.#whiteout(directory, entry.name)
  }

  #write(entry: Content): void {
    const parent = this.#find(entry.path.slice(0, -1), 'all')
    const name = entry.path.at(-1) ?? ''
    if (entry.kind === 'directory') this.#writeDirectory(entry, parent, name)
    else if (entry.kind === 'link') this.#link(entry, parent, name)
    else this.#writeLeaf(entry, parent, name)
    this.#mark(parent, name)
  }

  #writeDirectory(entry: Content, parent: Dir, name: string): void {
    const slot = parent.children.get(name)
    const there = slot?.node
    const directory = there?.kind === 'directory' ? there : this.#makeDirectory(parent, name)
    if (slot?.layer !== this.#layer && losesAttributes(directory, entry.metadata)) this.#relies('attributes')
    describeNode(directory, entry.metadata)
  }

  #writeLeaf(entry: Exclude<Content, { kind: 'directory' | 'link' }>, parent: Dir, name: string): void {
    const isNode = entry.kind === 'node'
    const leaf: Leaf = {
      kind: isNode ? nodeKind(entry.type) : entry.kind,
      mode: 0,
      uid: 0,
      gid: 0,
      xattrs: new Map(),
      size: entry.kind === 'file' ? entry.size : 0,
      target: entry.kind === 'symlink' ? entry.target : '',
      major: isNode ? entry.major : 0,
      minor: isNode ? entry.minor : 0,
      sha256: undefined,
      names: 1,
      layer: this.#layer,
      sure: true,
    }
    describeNode(leaf, entry.metadata)
    const slot = this.#put(parent, name, leaf)
    slot.optional = isNothing(slot)
    if (leaf.kind === 'file') this.#contents?.begin(leaf)
  }

  #link(entry: Content & { kind: 'link' }, parent: Dir, name: string): void {
    const target = fromByteString(entry.target.join('/'))
    const above = this.#find(entry.target.slice(0, -1), 'none')
    const last = entry.target.at(-1) ?? ''
    const slot = above?.children.get(last)
    const there = parent.children.get(name)
    // What stands at the name is taken away first: a target that is in it, or is it, goes too.
    const gone = slot !== undefined && there !== undefined && (slot === there || isWithin(above, there.node))
    if (slot === undefined || gone) {
      throw corrupt(`the hard link's target ${JSON.stringify(target)} is not there`, { target })
    }
    if (slot.node.kind === 'directory') {
      throw corrupt(`the hard link's target ${JSON.stringify(target)} is a directory`, { target })
    }
    if (slot.layer !== this.#layer) this.#relies('hard link')
    const leaf = this.#leafOf(slot, slot.node)
    describeNode(leaf, { ...entry.metadata, mode: leaf.kind === 'symlink' ? leaf.mode : entry.metadata.mode })
    leaf.names++
    this.#put(parent, name, leaf)
  }

  // A file of the layers below that has several names: overlayfs takes these apart when one of them is written to.
  #leafOf(slot: Slot, leaf: Leaf): Leaf {
    if (leaf.layer === this.#layer || leaf.names === 1) {
      leaf.layer = this.#layer
      return leaf
    }
    leaf.names--
    leaf.sure = false
    const xattrs = new Map([...leaf.xattrs].map(([key, attribute]) => [key, { ...attribute }]))
    const copy = { ...leaf, xattrs, names: 1, layer: this.#layer, sure: true }
    slot.node = copy
    return copy
  }

  #relies(reliance: Reliance): void {
    this.#onReliance?.(reliance, fromByteString(this.#path.join('/')))
  }

  /** What the name stands for from now on; what stood there, with all below it, is gone. */
  #put(parent: Dir, name: string, node: Leaf | Dir): Slot {
    if (++this.#made > this.#most) {
      throw tooLarge(`the image has more than ${this.#most} files, too many to compare`, { files: this.#most })
    }
    this.#remove(parent, name)
    parent.hidden?.delete(name)
    const slot: Slot = { node, layer: -1, implied: true, optional: false }
    parent.children.set(name, slot)
    if (node.kind === 'directory') node.slot = slot
    return slot
  }

  #remove(parent: Dir, name: string): void {
    const there = parent.children.get(name)?.node
    if (there === undefined) return
    if (there.kind !== 'directory') there.names--
    parent.children.delete(name)
  }

  #makeDirectory(parent: Dir, name: string): Dir {
    const directory = newDirectory(parent)
    const hidden = hiddenAt(parent, name)
    if (hidden?.node.kind === 'directory') directory.before = hidden
    this.#put(parent, name, directory)
    return directory
  }

  #whiteout(parent: Dir, name: string): void {
    const slot = parent.children.get(name)
    if (slot === undefined) return
    if (slot.layer !== this.#layer) {
      this.#hide(parent, name, slot)
      return
    }
    // Written by this layer: containerd takes it away, while the specification has it that nothing of this layer can be meant.
    if (slot.node.kind === 'directory') this.#prune(slot.node)
    this.#makeOptional(slot)
  }

  #prune(directory: Dir): void {
    for (const [name, slot] of directory.children) {
      if (slot.layer !== this.#layer) this.#hide(directory, name, slot)
      else {
        if (slot.node.kind === 'directory') this.#prune(slot.node)
        // containerd spares what has an entry of its own, and not what is above it.
        if (slot.implied) this.#makeOptional(slot)
      }
    }
  }

  #hide(parent: Dir, name: string, { node }: Slot): void {
    this.#remove(parent, name)
    parent.hidden ??= new Map()
    parent.hidden.set(name, { layer: this.#layer, node })
  }

  #makeOptional(slot: Slot): void {
    slot.optional = true
    if (slot.node.kind !== 'directory') return
    for (const child of slot.node.children.values()) this.#makeOptional(child)
  }

  #mark(parent: Dir, name: string): void {
    const slot = parent.children.get(name)
    if (slot !== undefined) {
      slot.layer = this.#layer
      slot.implied = false
      if (slot.node.kind === 'directory') slot.optional = false
    }
    for (
      let above = parent.slot, dir = parent;
      above !== undefined && (above.layer !== this.#layer || above.optional);
    ) {
      above.layer = this.#layer
      above.implied = true
      above.optional = false
      dir = dir.parent ?? this.root
      above = dir.slot
    }
  }

  /**
   * The directory that the components lead to, links followed. LAYER_CORRUPT where one is no directory.
   * @param make which missing directories are made. On the way to a whiteout containerd makes all of them: one that never
   * was may be there, and one that was deleted may not.
   */
  #find(components: readonly string[], make: 'all'): Dir
  #find(components: readonly string[], make: Make): Dir | undefined
  #find(components: readonly string[], make: Make): Dir | undefined {
    let directory = this.root
    const steps = [...components]
    let links = 0
    for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
      if (step === '' || step === '.') continue
      if (step === '..') {
        directory = directory.parent ?? directory
        continue
      }
      const slot = directory.children.get(step)
      const there = isNothing(slot) ? undefined : slot?.node
      if (there?.kind === 'directory') directory = there
      else if (there?.kind === 'symlink') {
        if (slot?.layer !== this.#layer && make !== 'none') this.#relies('link')
        if (++links > LINKS) throw unsafe(`the path leads through more than ${LINKS} symbolic links`)
        if (there.target.startsWith('/')) directory = this.root
        steps.unshift(...there.target.split('/'))
      } else if (there !== undefined && (make === 'none' || slot?.layer === this.#layer)) {
        throw corrupt(`${JSON.stringify(fromByteString(step))}, which the path goes through, is no directory`)
      } else if (there !== undefined) directory = this.#makeDirectory(directory, step)
      else if (make === 'none' || (make === 'unhidden' && hiddenAt(directory, step) !== undefined)) return undefined
      else {
        directory = this.#makeDirectory(directory, step)
        if (make === 'unhidden' && directory.slot !== undefined) directory.slot.optional = true
      }
    }
    return directory
  }
}
