/**
 * The ports: what layercast needs of a node. Each has a containerd adapter (gRPC over the daemon's socket) and an embedded one (files
 * below a root). Code above the ports does not ask which one it has, and one conformance suite runs over both.
 *
 * Errors are LayercastError: ALREADY_EXISTS; FAILED_PRECONDITION (a snapshot with children is to be removed, a snapshot is of the
 * wrong kind); NOT_FOUND (a lease); SNAPSHOT_NOT_FOUND, BLOB_NOT_FOUND, IMAGE_NOT_FOUND; SNAPSHOTTER_NOT_FOUND,
 * SNAPSHOTTER_NOT_READY; LABEL_TOO_LARGE; CONTAINERD_UNREACHABLE, CONTAINERD_FAILED; DATABASE_DAMAGED, SYSTEM_CALL_FAILED.
 */
import type { Descriptor } from '../image/descriptor.ts'
import type { Digest } from '../image/digest.ts'
import type { Applier } from '../layer/apply/types.ts'
import type { Mount } from '../linux/mount-list.ts'

export type Labels = Record<string, string>

export type SnapshotKind = 'active' | 'committed' | 'view'

export interface SnapshotInfo {
  name: string
  /** The committed snapshot below; empty for a base layer. */
  parent: string
  kind: SnapshotKind
  labels: Labels
  createdAt: Date
  updatedAt: Date
  /** Set by `list` only: its directory, or that of one below it, is lost. For every call but `list` and `remove` it does not exist. */
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
  /** What it can do that not all snapshotters can, such as `rebase` (take a parent at Commit) or `remap-ids`. */
  capabilities(): Promise<ReadonlySet<string>>
  /** Makes an active snapshot on top of `parent` ('' for none). ALREADY_EXISTS also where a remote snapshotter took the layer. */
  prepare(key: string, parent: string, labels: Labels): Promise<Mount[]>
  /** Makes a read-only snapshot on top of `parent`. */
  view(key: string, parent: string, labels: Labels): Promise<Mount[]>
  /** Makes the active snapshot `key` the committed snapshot `name`. The labels replace those of Prepare. `parent` needs `rebase`. */
  commit(name: string, key: string, labels: Labels, options?: { parent?: string }): Promise<void>
  stat(key: string): Promise<SnapshotInfo>
  /** Sets the given labels; one with an empty value is removed. Others stay. */
  update(key: string, labels: Labels): Promise<SnapshotInfo>
  remove(key: string): Promise<void>
  list(): AsyncIterable<SnapshotInfo>
  mounts(key: string): Promise<Mount[]>
  /**
   * Mounts that show a committed snapshot without a view being made, so that nothing is changed; absent where only a view can show it.
   * The snapshot may be removed meanwhile: to find out, call this again after the look.
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
  /** The blob's bytes in order, in chunks that the caller may keep. BLOB_NOT_FOUND before the first chunk. */
  read(digest: Digest, range?: Range): AsyncIterable<Uint8Array>
  /** Stores a blob, which appears once its digest and size have been checked. Succeeds where the blob is there already. */
  write(expected: Pick<Descriptor, 'digest' | 'size'>, data: AsyncIterable<Uint8Array>, labels?: Labels): Promise<void>
  /**
   * Stores a blob in the place of a damaged one. The labels of that one stay, with the given ones added, and so does all that they
   * keep from the garbage collector. Nothing is changed before the data has been checked. Where no such blob is there, as `write`.
   */
  replace(
    expected: Pick<Descriptor, 'digest' | 'size'>,
    data: AsyncIterable<Uint8Array>,
    labels?: Labels,
  ): Promise<void>
  /** Sets labels of a blob; one with an empty value is removed. Others stay. */
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
  /** Creates the record, or sets the target of an existing one, and its labels as `label` does. */
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
  /** Creates a lease that the garbage collector respects until it is deleted or `expiresInSeconds` have passed (24 h by default). */
  create(options?: { id?: string; expiresInSeconds?: number; labels?: Labels }): Promise<Lease>
  /** Adds existing snapshots to a lease. NOT_FOUND where there is no such lease. */
  hold(id: string, snapshotter: string, names: readonly string[]): Promise<void>
  /** The snapshots that a lease holds; they may not exist any more. NOT_FOUND where there is no such lease. */
  held(id: string): Promise<HeldSnapshot[]>
  /** With `sync` it returns when the garbage collector has removed what only this lease held. NOT_FOUND. */
  delete(id: string, options?: { sync?: boolean }): Promise<void>
  list(): AsyncIterable<Lease>
}

export interface SnapshotterPlugin {
  name: string
  /** Capabilities that the plugin advertises. */
  capabilities: readonly string[]
  /** OS features of the platforms that it advertises beside the node's own: images made for them are preferred. */
  osFeatures?: readonly string[]
  /** The directory of its snapshots; absent where it does not tell. */
  root?: string
  /** Why it is not ready; absent where it is. */
  error?: string
}

/** A container, as far as it tells which snapshot it uses. */
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
   * Writes the changes from `lower` to `upper` as a layer of this media type. It is not the blob that the upper tree was made from: the
   * differ chooses the order of the entries, and times. CONTAINERD_FAILED where the daemon cannot make the mounts; ABORTED.
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
  /** What it tells of itself, such as a snapshotter's `root`. */
  exports: Record<string, string>
  capabilities: readonly string[]
  /** OS features of the platforms that it advertises. */
  osFeatures?: readonly string[]
  /** Why it is not ready; absent where it is. */
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
  /** As the daemon tells it, such as `v2.3.4`. */
  readonly version: string
  /** Its process; undefined where it does not tell, as containerd before 1.7. */
  process(): Promise<DaemonProcess | undefined>
  /** Its plugins of one type, such as `io.containerd.differ.v1`, or all. */
  plugins(type?: string): Promise<Plugin[]>
}

/** All ports of one node. What only one of the backends can do is an optional member: ask for the member, not for `kind`. */
export interface Backend {
  /** Only to be told to a person or a server. */
  readonly kind: 'containerd' | 'embedded'
  /** The namespace of these images and snapshots; absent where the node has no namespaces. */
  readonly namespace?: string
  /** All namespaces of the node, sorted; absent where it has none. */
  namespaces?(): Promise<string[]>
  /** The daemon's version as it tells it; layercast's own for the embedded one. */
  version(): Promise<string>
  readonly images: ImageStore
  readonly content: ContentStore
  readonly leases: Leases
  snapshotters(): Promise<SnapshotterPlugin[]>
  /** Where there is no working snapshotter of this name, its first call fails with SNAPSHOTTER_NOT_FOUND or SNAPSHOTTER_NOT_READY. */
  snapshotter(name: string): Snapshotter
  /** Absent where there is no daemon. */
  readonly daemon?: Daemon
  /** The containers of this namespace, running or not, which use snapshots; absent where the backend knows nothing of containers. */
  containers?(): AsyncIterable<ContainerRecord>
  /** The daemon's applier. layercast's own works with every backend, so it is no port. */
  readonly diffService?: Applier
  /** Makes layers out of snapshots. */
  readonly differ?: Differ
  /** What an error of a write into a snapshot means to the user, such as a full disk of the root; absent where nothing is to be added. */
  writeFailure?(error: unknown): unknown
  /** The same backend; the lease holds everything that is made through it. */
  withLease(id: string): Backend
  close(): Promise<void>
}
