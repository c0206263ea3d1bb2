/** Where hosts.toml files are on this node, by containerd's configuration. */
import { accessSync, constants } from 'node:fs'
import { DEFAULT_CONFIG_PATH, loadConfigFiles } from '../../../node/containerd-config/files.ts'
import { findDaemon } from '../../../node/containerd-config/find-daemon.ts'
import { stringAt, tableAt } from '../../../node/containerd-config/table.ts'
import { parseDaemonVersion, type DaemonVersion } from '../../../node/daemon-version.ts'
import type { Backend } from '../../../node/ports.ts'

// The default of containerd 2. Older versions have no default, but these directories have the same meaning there.
const DEFAULT_ROOTS = ['/etc/containerd/certs.d', '/etc/docker/certs.d']
/** By whose rules files are merged where no daemon tells its version. */
const NEWEST: DaemonVersion = { major: 2, minor: 4, patch: 0 }
const CRI_SECTIONS = ['io.containerd.cri.v1.images', 'io.containerd.grpc.v1.cri']

/**
 * The directories with hosts.toml files of this node's containerd: CRI's `config_path`. NODE_CONFIG_INVALID.
 * @param configPath the daemon's configuration, which need not exist; its default file where absent
 * @param version the daemon's, which decides how its files are merged; the newest where absent
 */
export function hostRoots(configPath = DEFAULT_CONFIG_PATH, version: DaemonVersion = NEWEST): string[] {
  if (!readable(configPath)) return DEFAULT_ROOTS
  const plugins = tableAt(loadConfigFiles(configPath, version).merged, 'plugins')
  const [path] = CRI_SECTIONS.flatMap((name) => stringAt(tableAt(plugins, name, 'registry'), 'config_path') ?? [])
  return path === undefined ? DEFAULT_ROOTS : path.split(':').filter((root) => root !== '')
}

/** The same of the backend's daemon, which may have been started with another file. NODE_CONFIG_INVALID. */
export async function hostRootsOf(backend: Backend | undefined): Promise<string[]> {
  if (backend?.daemon === undefined) return hostRoots()
  const { daemon } = backend
  return hostRoots((await findDaemon(daemon))?.configPath, parseDaemonVersion(daemon.version))
}

/** A user who may not read the daemon's configuration gets the default directories. */
function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return false
    throw error
  }
}
