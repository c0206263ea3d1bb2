/** The configuration of a daemon that runs: which file it is, and what it says. */
import { parseDaemonVersion, type DaemonVersion } from '../daemon-version.ts'
import type { Daemon } from '../ports.ts'
import { readContainerdConfig, type ContainerdConfig } from './config.ts'
import { findDaemon, type RunningDaemon } from './find-daemon.ts'

/** A running daemon and its configuration. */
export interface RunningConfig {
  /** As the daemon says it, such as `v2.3.4`. */
  version: string
  daemon: DaemonVersion
  config: ContainerdConfig
  /** Undefined where this process cannot see it. */
  process: RunningDaemon | undefined
  /** Where the path of the file comes from: the caller, the daemon's command line, or containerd's default. */
  configFrom: 'caller' | 'process' | 'default'
}

/**
 * Reads the configuration that a daemon runs from.
 * @param configPath the main file; where it is left out, that of the daemon's command line, else containerd's default
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
  const config = readContainerdConfig({ daemon, path })
  const configFrom = configPath === undefined ? (process === undefined ? 'default' : 'process') : 'caller'
  return { version, daemon, config, process, configFrom }
}
