/** The snapshots of one snapshotter, by the daemon's snapshots service. */
import { create } from '@bufbuild/protobuf'
import { FieldMaskSchema } from '@bufbuild/protobuf/wkt'
import { hasCode, LayercastError } from '../../errors.ts'
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

/**
 * One of the daemon's snapshotters, through its snapshots service. Errors as the port says.
 * @param version the daemon's
 */
export function containerdSnapshotter(connection: Connection, name: string, version: DaemonVersion): Snapshotter {
  const client = connection.client(Snapshots)
  const snapshotter = name
  const missing = { notFound: 'SNAPSHOT_NOT_FOUND' } as const
  const call = async <T>(verb: string, key: string, run: () => Promise<T>): Promise<T> => {
    try {
      return await connection.call(`${verb} snapshot ${key} of ${name}`, run, missing)
    } catch (error) {
      throw await explain(connection, name, error)
    }
  }

  let advertised: Promise<ReadonlySet<string>> | undefined
  const capabilities = (): Promise<ReadonlySet<string>> => {
    advertised ??= readCapabilities(connection, name, version).catch((error: unknown) => {
      advertised = undefined
      throw error
    })
    return advertised
  }

  const stat = async (key: string): Promise<SnapshotInfo> => {
    const { info } = await call('stat', key, () => client.stat({ snapshotter, key }))
    return toInfo(info)
  }

  const list = async function* (): AsyncGenerator<SnapshotInfo> {
    const answers = connection.stream(`list the snapshots of ${name}`, (signal) =>
      client.list({ snapshotter }, { signal }),
    )
    try {
      for await (const { info } of answers) yield* info.map(toInfo)
    } catch (error) {
      throw await explain(connection, name, error)
    }
  }

  return {
    name,
    capabilities,

    async prepare(key, parent, labels): Promise<Mount[]> {
      const { mounts } = await call('prepare', key, () => client.prepare({ snapshotter, key, parent, labels }))
      return toMounts(mounts)
    },

    async view(key, parent, labels): Promise<Mount[]> {
      const { mounts } = await call('view', key, () => client.view({ snapshotter, key, parent, labels }))
      return toMounts(mounts)
    },

    async commit(committed, key, labels, options = {}): Promise<void> {
      const { parent } = options
      if (parent !== undefined && !(await capabilities()).has('rebase')) {
        // containerd before 2.2 passes over the parent in silence and leaves a snapshot without one.
        throw new LayercastError('FAILED_PRECONDITION', `snapshotter ${name} cannot set a parent at commit`, {
          fix: 'Prepare the snapshot on top of its parent instead.',
          detail: { snapshotter: name, key, parent },
        })
      }
      const request = { snapshotter, name: committed, key, labels, ...(parent === undefined ? {} : { parent }) }
      try {
        await call('commit', key, () => client.commit(request))
      } catch (error) {
        // For a view native answers that a directory is missing, and not that the snapshot is no active one.
        if (!hasCode(error, 'CONTAINERD_FAILED')) throw error
        const { kind } = await stat(key)
        if (kind === 'active') throw error
        throw new LayercastError('FAILED_PRECONDITION', `snapshot ${key} of ${name} is not active: ${kind}`, {
          cause: error,
        })
      }
    },

    stat,

    async update(key, labels: Labels): Promise<SnapshotInfo> {
      // An Update without field paths replaces every label.
      if (Object.keys(labels).length === 0) return stat(key)
      const { info } = await call('update', key, () =>
        client.update({
          snapshotter,
          info: create(InfoSchema, { name: key, labels }),
          updateMask: create(FieldMaskSchema, { paths: labelPaths(labels) }),
        }),
      )
      return toInfo(info)
    },

    async remove(key): Promise<void> {
      try {
        await call('remove', key, () => client.remove({ snapshotter, key }))
      } catch (error) {
        throw await refusedRemoval(error, name, key, list)
      }
    },

    list,

    async mounts(key): Promise<Mount[]> {
      const { mounts } = await call('get the mounts of', key, () => client.mounts({ snapshotter, key }))
      return toMounts(mounts)
    },

    async usage(key): Promise<Usage> {
      const { size, inodes } = await call('get the usage of', key, () => client.usage({ snapshotter, key }))
      return { size: Number(size), inodes: Number(inodes) }
    },
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
