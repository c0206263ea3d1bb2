import type { ContainerdBackend } from '../containerd/backend.ts'
import { readNodeConfig, type DaemonVersion, type NodeConfig } from './config.ts'
import { findDaemon, type RunningDaemon } from './daemon.ts'

/** A daemon that runs, and its configuration. */
export interface RunningConfig {
  /** As the daemon says it, such as `v2.3.4`. */
  version: string
  daemon: DaemonVersion & { patch: number }
  config: NodeConfig
  /** Undefined where it cannot be seen from here. */
  process: RunningDaemon | undefined
  /** Who said which file it is: the caller, the daemon's command line, or nobody, and then it is the default one. */
  configFrom: 'caller' | 'process' | 'default'
}

/** The numbers of a daemon's version (`v2.3.4`, `1.6.20~ds1`); zeros where it says none. */
function parseDaemonVersion(text: string): DaemonVersion & { patch: number } {
  const [, major = '0', minor = '0', patch = '0'] = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text) ?? []
  return { major: Number(major), minor: Number(minor), patch: Number(patch) }
}

/**
 * Reads the configuration that a daemon runs from: the given file, or the one of its command line, or the default one.
 * @throws CONTAINERD_UNREACHABLE, FILE_NOT_FOUND, NODE_CONFIG_INVALID
 */
export async function readRunningConfig(
  backend: Pick<ContainerdBackend, 'address' | 'daemonProcess' | 'version'>,
  configPath?: string,
): Promise<RunningConfig> {
  const version = await backend.version()
  const daemon = parseDaemonVersion(version)
  const process = await findDaemon(backend)
  const path = configPath ?? process?.configPath
  const config = readNodeConfig({ daemon, ...(path === undefined ? {} : { path }) })
  const configFrom = configPath === undefined ? (process === undefined ? 'default' : 'process') : 'caller'
  return { version, daemon, config, process, configFrom }
}
