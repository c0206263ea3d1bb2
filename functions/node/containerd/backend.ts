/**
 * The containerd adapter: a backend over the daemon's gRPC services (containerd/FACTS.md section 9), for every version from 1.6
 * on. Each port has a file of its own.
 */
import { Code } from '@connectrpc/connect'
import type { Applier } from '../../layer/apply/types.ts'
import { parseDaemonVersion } from '../daemon-version.ts'
import type { Backend, ContainerRecord, Daemon, Differ } from '../ports.ts'
import type { CallOptions } from './calls.ts'
import { Connection, daemonAddress, DEFAULT_NAMESPACE } from './connection.ts'
import { containers } from './containers.ts'
import { containerdContent } from './content.ts'
import { diffService, differ } from './diff.ts'
import { answered, daemonUnreachable } from './errors.ts'
import { containerdImages } from './images.ts'
import { daemonProcess, plugins, snapshotters } from './introspection.ts'
import { containerdLeases } from './leases.ts'
import { namespaceNames } from './namespaces.ts'
import { Version } from './proto/gen/version_pb.js'
import { ContainerdSnapshotter } from './snapshotter.ts'

export interface ContainerdOptions extends CallOptions {
  /** The daemon's socket. By default CONTAINERD_ADDRESS, else containerd's default. */
  address?: string | undefined
  /** By default CONTAINERD_NAMESPACE, else `default`, as ctr does. */
  namespace?: string | undefined
}

/** A backend with all the members that a containerd node has. */
export interface ContainerdBackend extends Backend {
  readonly kind: 'containerd'
  readonly namespace: string
  readonly daemon: Daemon
  containers(): AsyncIterable<ContainerRecord>
  readonly diffService: Applier
  readonly differ: Differ
  withLease(id: string): ContainerdBackend
}

// A daemon that is starting answers within seconds. A socket whose process hangs never does.
const GREETING_MS = 15_000

/**
 * Connects to a containerd and asks for its version. CONTAINERD_UNREACHABLE where the socket is missing, refuses, or is not
 * containerd's. `close` ends the session, which the backends under a lease share.
 */
export async function connectContainerd(options: ContainerdOptions = {}): Promise<ContainerdBackend> {
  const address = daemonAddress(options.address)
  const namespace = options.namespace ?? (process.env['CONTAINERD_NAMESPACE'] || DEFAULT_NAMESPACE)
  const connection = Connection.to(address, namespace, options)
  try {
    const version = await readVersion(connection)
    return backend(connection, version, () => connection.close())
  } catch (error) {
    connection.close()
    throw error
  }
}

async function readVersion(connection: Connection): Promise<string> {
  const client = connection.client(Version)
  return connection.call('ask containerd for its version', async () => {
    try {
      return (await client.version({}, { timeoutMs: GREETING_MS })).version
    } catch (error) {
      if (answered(error) !== Code.Unimplemented) throw error
      throw daemonUnreachable(connection.address, new Error('what listens there is not containerd', { cause: error }))
    }
  })
}

function backend(connection: Connection, version: string, close: () => void): ContainerdBackend {
  return {
    kind: 'containerd',
    namespace: connection.namespace,
    namespaces: () => namespaceNames(connection),
    version: () => Promise.resolve(version),
    images: containerdImages(connection),
    content: containerdContent(connection),
    leases: containerdLeases(connection),
    snapshotters: () => snapshotters(connection),
    snapshotter: (name) => new ContainerdSnapshotter(connection, name, parseDaemonVersion(version)),
    daemon: {
      address: connection.address,
      version,
      process: () => daemonProcess(connection),
      plugins: (type) => plugins(connection, type),
    },
    containers: () => containers(connection),
    diffService: diffService(connection),
    differ: differ(connection),
    withLease: (id) => backend(connection.withLease(id), version, () => {}),
    close: async () => close(),
  }
}
