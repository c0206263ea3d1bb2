import { parseDaemonVersion, type DaemonVersion } from '../daemon-version.ts'
import type { Daemon } from '../ports.ts'
import { readNodeConfig, type NodeConfig } from './config.ts'
import { findDaemon, type RunningDaemon } from './daemon.ts'

/** A daemon that runs, and its configuration. */
export interface RunningConfig {
  /** As the daemon says it, such as `v2.3.4`. */
  version: string
  daemon: DaemonVersion
  config: NodeConfig
  /** Undefined where it cannot be seen from here. */
  process: RunningDaemon | undefined
  /** Who said which file it is: the caller, the daemon's command line, or nobody, and then it is the default one. */
  configFrom: 'caller' | 'process' | 'default'
}

/**
 * Reads the configuration that a daemon runs from: the given file, or the one of its command line, or the default one.
 * @throws CONTAINERD_UNREACHABLE, FILE_NOT_FOUND, NODE_CONFIG_INVALID
 */
export async function readRunningConfig(
  running: Pick<Daemon, 'address' | 'process' | 'version'>,
  configPath?: string,
): Promise<RunningConfig> {
  const { version } = running
  const daemon = parseDaemonVersion(version)
  const process = await findDaemon(running)
  const path = configPath ?? process?.configPath
  const config = readNodeConfig({ daemon, ...(path === undefined ? {} : { path }) })
  const configFrom = configPath === undefined ? (process === undefined ? 'default' : 'process') : 'caller'
  return { version, daemon, config, process, configFrom }
}
