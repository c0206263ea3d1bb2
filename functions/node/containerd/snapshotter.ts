/** The snapshots of one snapshotter, by the daemon's snapshots service. */
import { create } from '@bufbuild/protobuf'
import { FieldMaskSchema } from '@bufbuild/protobuf/wkt'
import type { Client } from '@connectrpc/connect'
import { hasCode, LayercastError } from '../../errors.ts'
import { once } from '../../kit/once.ts'
import type { Mount } from '../../linux/mount-list.ts'
import { isAtLeast, type DaemonVersion } from '../daemon-version.ts'
import type { Labels, SnapshotInfo, SnapshotKind, Snapshotter, Usage } from '../ports.ts'
import type { Connection } from './connection.ts'
import { labelPaths, toDate, toMounts } from './convert.ts'
import { snapshotters } from './introspection.ts'
import { InfoSchema, Kind, Snapshots, type Info } from './proto/gen/snapshots_pb.js'
import { refusedRemoval } from './refused-removal.ts'
import { snapshotterFault } from './snapshotter-fault.ts'

const KINDS: ReadonlyMap<Kind, SnapshotKind> = new Map([
  [Kind.VIEW, 'view'],
  [Kind.ACTIVE, 'active'],
  [Kind.COMMITTED, 'committed'],
])

/** One of the daemon's snapshotters, through its snapshots service. Errors as the port says. */
export class ContainerdSnapshotter implements Snapshotter {
  readonly name: string
  readonly #connection: Connection
  readonly #client: Client<typeof Snapshots>
  readonly #advertised: () => Promise<ReadonlySet<string>>

  /** @param version the daemon's */
  constructor(connection: Connection, name: string, version: DaemonVersion) {
    this.name = name
    this.#connection = connection
    this.#client = connection.client(Snapshots)
    this.#advertised = once(() => readCapabilities(connection, name, version))
  }

  capabilities(): Promise<ReadonlySet<string>> {
    return this.#advertised()
  }

  async prepare(key: string, parent: string, labels: Labels): Promise<Mount[]> {
    const request = { ...this.#at(key), parent, labels }
    const { mounts } = await this.#call('prepare', key, () => this.#client.prepare(request))
    return toMounts(mounts)
  }

  async view(key: string, parent: string, labels: Labels): Promise<Mount[]> {
    const { mounts } = await this.#call('view', key, () => this.#client.view({ ...this.#at(key), parent, labels }))
    return toMounts(mounts)
  }

  async commit(name: string, key: string, labels: Labels, options: { parent?: string } = {}): Promise<void> {
    const { parent } = options
    if (parent !== undefined) await this.#checkRebase(key, parent)
    const request = { ...this.#at(key), name, labels, ...(parent === undefined ? {} : { parent }) }
    try {
      await this.#call('commit', key, () => this.#client.commit(request))
    } catch (error) {
      // For a view native answers that a directory is missing, and not that the snapshot is no active one.
      if (!hasCode(error, 'CONTAINERD_FAILED')) throw error
      const { kind } = await this.stat(key)
      if (kind === 'active') throw error
      throw new LayercastError('FAILED_PRECONDITION', `snapshot ${key} of ${this.name} is not active: ${kind}`, {
        cause: error,
      })
    }
  }

  async stat(key: string): Promise<SnapshotInfo> {
    const { info } = await this.#call('stat', key, () => this.#client.stat(this.#at(key)))
    return toInfo(info)
  }

  async update(key: string, labels: Labels): Promise<SnapshotInfo> {
    // An Update without field paths replaces every label.
    if (Object.keys(labels).length === 0) return this.stat(key)
    const { info } = await this.#call('update', key, () =>
      this.#client.update({
        snapshotter: this.name,
        info: create(InfoSchema, { name: key, labels }),
        updateMask: create(FieldMaskSchema, { paths: labelPaths(labels) }),
      }),
    )
    return toInfo(info)
  }

  async remove(key: string): Promise<void> {
    try {
      await this.#call('remove', key, () => this.#client.remove(this.#at(key)))
    } catch (error) {
      throw await refusedRemoval(error, this.name, key, () => this.list())
    }
  }

  async *list(): AsyncGenerator<SnapshotInfo> {
    const answers = this.#connection.stream(`list the snapshots of ${this.name}`, (signal) =>
      this.#client.list({ snapshotter: this.name }, { signal }),
    )
    try {
      for await (const { info } of answers) yield* info.map(toInfo)
    } catch (error) {
      throw await explain(this.#connection, this.name, error)
    }
  }

  async mounts(key: string): Promise<Mount[]> {
    const { mounts } = await this.#call('get the mounts of', key, () => this.#client.mounts(this.#at(key)))
    return toMounts(mounts)
  }

  async usage(key: string): Promise<Usage> {
    const { size, inodes } = await this.#call('get the usage of', key, () => this.#client.usage(this.#at(key)))
    return { size: Number(size), inodes: Number(inodes) }
  }

  #at(key: string): { snapshotter: string; key: string } {
    return { snapshotter: this.name, key }
  }

  async #call<T>(verb: string, key: string, run: () => Promise<T>): Promise<T> {
    try {
      return await this.#connection.call(`${verb} snapshot ${key} of ${this.name}`, run, {
        notFound: 'SNAPSHOT_NOT_FOUND',
      })
    } catch (error) {
      throw await explain(this.#connection, this.name, error)
    }
  }

  /** containerd before 2.2 passes over the parent in silence and leaves a snapshot without one. */
  async #checkRebase(key: string, parent: string): Promise<void> {
    if ((await this.capabilities()).has('rebase')) return
    throw new LayercastError('FAILED_PRECONDITION', `snapshotter ${this.name} cannot set a parent at commit`, {
      fix: 'Prepare the snapshot on top of its parent instead.',
      detail: { snapshotter: this.name, key, parent },
    })
  }
}

/** The daemon gives one error for a snapshotter that does not exist and for one that is not ready; the list of plugins tells which it is. */
async function explain(connection: Connection, name: string, error: unknown): Promise<unknown> {
  if (!hasCode(error, 'SNAPSHOTTER_NOT_FOUND')) return error
  const plugins = await snapshotters(connection).catch(() => undefined)
  return (plugins && snapshotterFault(name, plugins, { cause: error })) ?? error
}

/** What the plugin advertises and the daemon lets it do. */
async function readCapabilities(
  connection: Connection,
  name: string,
  version: DaemonVersion,
): Promise<ReadonlySet<string>> {
  const plugins = await snapshotters(connection)
  const plugin = plugins.find((candidate) => candidate.name === name)
  const error = snapshotterFault(name, plugins)
  if (error !== undefined) throw error
  const capabilities = new Set(plugin?.capabilities)
  // Before 2.2 the daemon drops the parent of a Commit without an error, whatever the snapshotter can do.
  if (!isAtLeast(version, '2.2')) capabilities.delete('rebase')
  return capabilities
}

function toInfo(info: Info | undefined): SnapshotInfo {
  const { name, parent, kind, labels, createdAt, updatedAt } = info ?? create(InfoSchema)
  const known = KINDS.get(kind)
  if (known === undefined) {
    throw new LayercastError('CONTAINERD_FAILED', `containerd gave snapshot ${name} the unknown kind ${kind}`)
  }
  return {
    name,
    parent,
    kind: known,
    labels: { ...labels },
    createdAt: toDate(createdAt),
    updatedAt: toDate(updatedAt),
  }
}
