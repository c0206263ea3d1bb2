/**
 * The ports of the runner. Each has a containerd adapter (gRPC over the unix socket) and an embedded one (a directory
 * tree under one root). Nothing above the ports knows which one it has, and one conformance suite runs over both.
 *
 * Errors are LayercastError: ALREADY_EXISTS, FAILED_PRECONDITION (a snapshot with children is removed, a snapshot of the
 * wrong kind), SNAPSHOT_NOT_FOUND, BLOB_NOT_FOUND, IMAGE_NOT_FOUND, SNAPSHOTTER_NOT_FOUND, CONTAINERD_UNREACHABLE.
 */
import type { Descriptor } from '../image/descriptor.ts'
import type { Digest } from '../image/digest.ts'
import type { Applier } from '../layer/apply/types.ts'
import type { Mount } from '../linux/mount-list.ts'

export type Labels = Record<string, string>

export type SnapshotKind = 'active' | 'committed' | 'view'

export interface SnapshotInfo {
  name: string
  /** The committed snapshot below; empty for a base. */
  parent: string
  kind: SnapshotKind
  labels: Labels
  createdAt: Date
  updatedAt: Date
  /** In a list: its directory, or that of one below it, is gone. To everything but `list` and `remove` it is not there. */
  lost?: true
}

export interface Usage {
  /** In bytes. */
  size: number
  inodes: number
}

/** Snapshots of one snapshotter, with containerd's semantics (core/snapshots/snapshotter.go). */
export interface Snapshotter {
  readonly name: string
  /** What it can do beyond the rest, such as `rebase` (takes a parent at Commit) or `remap-ids`. */
  capabilities(): Promise<ReadonlySet<string>>
  /** An active snapshot on top of `parent` ('' for none). ALREADY_EXISTS also when a remote snapshotter took the layer. */
  prepare(key: string, parent: string, labels: Labels): Promise<Mount[]>
  /** A read-only snapshot on top of `parent`. */
  view(key: string, parent: string, labels: Labels): Promise<Mount[]>
  /** Turns the active snapshot `key` into the committed `name`. Its labels replace those of Prepare. */
  commit(name: string, key: string, labels: Labels, options?: { parent?: string }): Promise<void>
  stat(key: string): Promise<SnapshotInfo>
  /** Sets the given labels; an empty value removes one. Others stay. */
  update(key: string, labels: Labels): Promise<SnapshotInfo>
  remove(key: string): Promise<void>
  list(): AsyncIterable<SnapshotInfo>
  mounts(key: string): Promise<Mount[]>
  /**
   * Mounts that show a committed snapshot with no view of it being made, so that a look changes nothing; absent where a
   * view is the only way. Nothing keeps the snapshot meanwhile: after the look the same call says whether it is still there.
   */
  peek?(name: string): Promise<Mount[]>
  usage(key: string): Promise<Usage>
}

export interface ContentInfo {
  digest: Digest
  /** In bytes. */
  size: number
  labels: Labels
  createdAt: Date
  updatedAt: Date
}

/** A part of a blob, in bytes. */
export interface Range {
  offset?: number | undefined
  length?: number | undefined
}

export interface ContentStore {
  info(digest: Digest): Promise<ContentInfo>
  /** The blob's bytes from `offset`, in order, in chunks that the caller may keep. BLOB_NOT_FOUND before the first chunk. */
  read(digest: Digest, range?: Range): AsyncIterable<Uint8Array>
  /** Stores a blob. Its digest and size are checked before it can be seen; writing what is there already succeeds. */
  write(expected: Pick<Descriptor, 'digest' | 'size'>, data: AsyncIterable<Uint8Array>, labels?: Labels): Promise<void>
  /**
   * Stores a blob in the place of one whose bytes are not what its digest says: the labels of that one stay, with the given
   * ones beside them, and so does all that they keep. Nothing is touched before the data has proved right. Where no such blob
   * is there, as `write`.
   */
  replace(
    expected: Pick<Descriptor, 'digest' | 'size'>,
    data: AsyncIterable<Uint8Array>,
    labels?: Labels,
  ): Promise<void>
  /** Sets labels on a blob; an empty value removes one. Others stay. */
  label(digest: Digest, labels: Labels): Promise<ContentInfo>
  list(): AsyncIterable<ContentInfo>
  remove(digest: Digest): Promise<void>
}

/** The names under which a node keeps images. */
export interface ImageRecord {
  name: string
  target: Descriptor
  labels: Labels
  createdAt: Date
  updatedAt: Date
}

export interface ImageStore {
  get(name: string): Promise<ImageRecord>
  list(): AsyncIterable<ImageRecord>
  /** Creates the record, or points an existing one to the new target. */
  put(name: string, target: Descriptor, labels?: Labels): Promise<ImageRecord>
  remove(name: string): Promise<void>
}

export interface Lease {
  id: string
  labels: Labels
  createdAt: Date
}

/** A snapshot that a lease holds. */
export interface HeldSnapshot {
  snapshotter: string
  key: string
}

export interface Leases {
  /** A lease that the garbage collector honours until it is deleted or `expiresInSeconds` have passed (24 h by default). */
  create(options?: { id?: string; expiresInSeconds?: number; labels?: Labels }): Promise<Lease>
  /** Puts snapshots that are there under a lease. NOT_FOUND where the lease is not. */
  hold(id: string, snapshotter: string, names: readonly string[]): Promise<void>
  /** The snapshots that a lease holds, which need not be there any more. NOT_FOUND where the lease is not. */
  held(id: string): Promise<HeldSnapshot[]>
  /** With `sync` it returns once the garbage collector has taken what nothing but this lease held. */
  delete(id: string, options?: { sync?: boolean }): Promise<void>
  list(): AsyncIterable<Lease>
}

export interface SnapshotterPlugin {
  name: string
  /** Capabilities that the plugin advertises. */
  capabilities: readonly string[]
  /** OS features of the platforms that it advertises beside the node's own: it takes images made for them first. */
  osFeatures?: readonly string[]
  /** The directory in which it keeps its snapshots; absent where it does not say. */
  root?: string
  /** Why it is not ready; absent when it is. */
  error?: string
}

/** A container's record, as far as it says which snapshot it stands on. */
export interface ContainerRecord {
  id: string
  image: string
  snapshotter: string
  snapshotKey: string
  runtime: string
  labels: Labels
}

/** Makes a layer out of the difference between two trees, and writes it into the content store. */
export interface Differ {
  /**
   * The changes from `lower` to `upper` as a layer of this media type, whose order of entries and times are the differ's own,
   * so that it is not the blob that the upper tree was made from. CONTAINERD_FAILED where the daemon cannot make the mounts;
   * ABORTED.
   */
  diff(lower: readonly Mount[], upper: readonly Mount[], options: DiffOptions): Promise<Descriptor>
}

export interface DiffOptions {
  mediaType: string
  /** Of the blob that is written. */
  labels?: Labels | undefined
  signal?: AbortSignal | undefined
}

/** A plugin of the daemon, as its introspection service shows it. */
export interface Plugin {
  type: string
  id: string
  /** What it says of itself; a snapshotter's `root` for one. */
  exports: Record<string, string>
  capabilities: readonly string[]
  /** OS features of the platforms that it advertises. */
  osFeatures?: readonly string[]
  /** Why it is not ready; absent when it is. */
  error?: string
}

/** The daemon's own process, in the numbers of its PID namespace. */
export interface DaemonProcess {
  pid: number
  /** The namespace's inode, as /proc/self/ns/pid shows it. */
  pidNamespace: number
}

/** The daemon that serves a backend. */
export interface Daemon {
  /** Its socket's path. */
  readonly address: string
  /** As it says it, such as `v2.3.4`. */
  readonly version: string
  /** Its process; undefined where it does not say, as containerd before 1.7. */
  process(): Promise<DaemonProcess | undefined>
  /** Its plugins of a type such as `io.containerd.differ.v1`, or all. */
  plugins(type?: string): Promise<Plugin[]>
}

/** One node's parts. What only one of the backends can do is an optional member: ask for it, and not for the kind. */
export interface Backend {
  /** Which backend it is, to tell a person or a server. */
  readonly kind: 'containerd' | 'embedded'
  /** Whose images and snapshots these are; absent where there is but one. */
  readonly namespace?: string
  /** The namespaces that the node has, sorted; absent where it has none. */
  namespaces?(): Promise<string[]>
  /** The daemon's version as it says it; layercast's own for the embedded one. */
  version(): Promise<string>
  readonly images: ImageStore
  readonly content: ContentStore
  readonly leases: Leases
  snapshotters(): Promise<SnapshotterPlugin[]>
  /** SNAPSHOTTER_NOT_FOUND and SNAPSHOTTER_NOT_READY come at the first call where there is none of this name that works. */
  snapshotter(name: string): Snapshotter
  /** The daemon behind it; absent where there is none. */
  readonly daemon?: Daemon
  /** The containers of this namespace, which keep the snapshots that they stand on; absent where it knows of none. */
  containers?(): AsyncIterable<ContainerRecord>
  /** The daemon's own applier, beside layercast's, which works for every backend. */
  readonly diffService?: Applier
  /** Makes layers out of snapshots. */
  readonly differ?: Differ
  /** What an error met while a snapshot was written to means to a user, such as a full disk; absent where it stands as it is. */
  writeFailure?(error: unknown): unknown
  /** The same backend, everything it makes held by this lease. */
  withLease(id: string): Backend
  close(): Promise<void>
}
