/** What doctor's checks look at: the daemon, its plugins and sockets, its configuration. */
import { statSync } from 'node:fs'
import { dialError, socketPath } from '../../linux/unix-socket.ts'
import { configRefusal } from '../../node/containerd-config/config-refusal.ts'
import type { ProxyPlugin } from '../../node/containerd-config/config.ts'
import { readRunningConfig, type RunningConfig } from '../../node/containerd-config/running-config.ts'
import type { Daemon, Plugin } from '../../node/ports.ts'
import { CRI_PROXY_SOCKET } from './names.ts'

/** A proxy plugin of the configuration. */
export interface ProxyState extends ProxyPlugin {
  /** Why its socket does not answer; absent where it does. */
  error?: string
}

/** All that the checks look at, gathered once; a check is a pure function of it. */
export interface DaemonFacts extends RunningConfig {
  /** Files of the configuration that were changed after the daemon had started. */
  changedFiles: readonly string[]
  plugins: readonly Plugin[]
  proxies: readonly ProxyState[]
  /** Why the daemon's program refuses the files, in its own words; undefined where it accepts them, or cannot be asked. */
  refusal: string | undefined
  /** The socket of a CRI proxy that serves this machine; undefined where none does at the usual place. */
  criProxy: string | undefined
}

const DIAL_MS = 2_000

async function dial(address: string): Promise<string | undefined> {
  const path = socketPath(address)
  if (path === '') return 'the configuration gives it no address'
  return (await dialError(path, DIAL_MS))?.message
}

// The kernel tells when a process started in hundredths of a second, and the files may be written just before.
const START_SLACK_MS = 2_000

/** Files whose present content the daemon cannot have read, because it had started before they were written. */
function changedFiles({ process, config }: RunningConfig): string[] {
  if (process === undefined) return []
  const started = process.startedAt.getTime() + START_SLACK_MS
  return config.files.map(({ path }) => path).filter((path) => statSync(path).mtimeMs > started)
}

/**
 * Reads the daemon and its configuration.
 * @param configPath the file that the daemon was started with; found as `readRunningConfig` does where it is left out
 * @throws CONTAINERD_UNREACHABLE, FILE_NOT_FOUND, NODE_CONFIG_INVALID
 */
export async function gatherDaemonFacts(daemon: Daemon, configPath: string | undefined): Promise<DaemonFacts> {
  const running = await readRunningConfig(daemon, configPath)
  const proxies = await Promise.all(
    running.config.proxyPlugins.map(async (proxy): Promise<ProxyState> => {
      const error = await dial(proxy.address)
      return error === undefined ? proxy : { ...proxy, error }
    }),
  )
  const [plugins, refusal] = [await daemon.plugins(), await configRefusal(running)]
  const criProxy = (await dial(CRI_PROXY_SOCKET)) === undefined ? CRI_PROXY_SOCKET : undefined
  return { ...running, changedFiles: changedFiles(running), plugins, proxies, refusal, criProxy }
}
