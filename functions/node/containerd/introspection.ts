/** The daemon's plugins and process, by its introspection service. */
import type { DaemonProcess, Plugin, SnapshotterPlugin } from '../ports.ts'
import type { Connection } from './connection.ts'
import { Introspection } from './proto/gen/introspection_pb.js'

const SNAPSHOTTER = 'io.containerd.snapshotter.v1'

/** The daemon's plugins, of one type or all. */
export async function plugins(connection: Connection, type?: string): Promise<Plugin[]> {
  const client = connection.client(Introspection)
  const answer = await connection.call('list the plugins of containerd', () =>
    client.plugins({ filters: type === undefined ? [] : [`type==${type}`] }),
  )
  return answer.plugins.map(({ type: kind, id, exports, capabilities, platforms, initErr }) => {
    const osFeatures = [...new Set(platforms.flatMap((platform) => platform.osFeatures))]
    const plugin: Plugin = { type: kind, id, exports, capabilities }
    if (osFeatures.length > 0) plugin.osFeatures = osFeatures
    if (initErr !== undefined) plugin.error = initErr.message || `status ${initErr.code}`
    return plugin
  })
}

/** The snapshotters, proxy plugins included, ready or not. */
export async function snapshotters(connection: Connection): Promise<SnapshotterPlugin[]> {
  const found = await plugins(connection, SNAPSHOTTER)
  return found.map(({ id, exports, capabilities, osFeatures, error }) => {
    const snapshotter: SnapshotterPlugin = { name: id, capabilities }
    if (osFeatures !== undefined) snapshotter.osFeatures = osFeatures
    if (exports['root'] !== undefined) snapshotter.root = exports['root']
    if (error !== undefined) snapshotter.error = error
    return snapshotter
  })
}

/** The daemon's process; undefined before containerd 1.7, which does not tell it. */
export async function daemonProcess(connection: Connection): Promise<DaemonProcess | undefined> {
  const client = connection.client(Introspection)
  const { pid, pidns } = await connection.call('ask containerd for its process', () => client.server({}))
  return pid === 0n ? undefined : { pid: Number(pid), pidNamespace: Number(pidns) }
}
