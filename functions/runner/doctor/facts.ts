import { statSync } from 'node:fs'
import { connect } from 'node:net'
import type { ProxyPlugin } from '../../node/containerd-config/config.ts'
import { refusalOf } from '../../node/containerd-config/refusal.ts'
import { readRunningConfig, type RunningConfig } from '../../node/containerd-config/running.ts'
import type { Daemon, Plugin } from '../../node/ports.ts'

/** A proxy plugin of the configuration, and why nobody answers at its socket; absent where somebody does. */
export interface ProxyState extends ProxyPlugin {
  error?: string
}

/** All that the checks look at, gathered once. */
export interface NodeFacts extends RunningConfig {
  /** Files of the configuration that were changed after the daemon was started from them. */
  changedFiles: readonly string[]
  plugins: readonly Plugin[]
  proxies: readonly ProxyState[]
  /** Why the running daemon's program refuses its files, in its own words; undefined where it takes them, or cannot be asked. */
  refusal: string | undefined
}

const DIAL_MS = 2_000

async function dial(address: string): Promise<string | undefined> {
  const path = address.replace(/^unix:\/\//, '')
  if (path === '') return 'the configuration gives it no address'
  return await new Promise((resolve) => {
    const socket = connect({ path })
    const finish = (error: string | undefined) => {
      socket.destroy()
      resolve(error)
    }
    socket.setTimeout(DIAL_MS, () => finish(`no answer within ${DIAL_MS / 1000} s`))
    socket.once('connect', () => finish(undefined))
    socket.once('error', (error) => finish(error.message))
  })
}

// The kernel says a process's start in hundredths of a second, and a file may be written just before it.
const START_SLACK_MS = 2_000

/** What the daemon cannot have read, as it was started before. */
function changedFiles({ process, config }: RunningConfig): string[] {
  if (process === undefined) return []
  const started = process.startedAt.getTime() + START_SLACK_MS
  return config.files.map(({ path }) => path).filter((path) => statSync(path).mtimeMs > started)
}

/**
 * Reads the daemon and its configuration.
 * @param options.configPath the file that the daemon was started with; as `readRunningConfig` finds it where it is left out
 * @throws CONTAINERD_UNREACHABLE, FILE_NOT_FOUND, NODE_CONFIG_INVALID
 */
export async function gatherFacts(daemon: Daemon, options: { configPath?: string | undefined }): Promise<NodeFacts> {
  const running = await readRunningConfig(daemon, options.configPath)
  const proxies = await Promise.all(
    running.config.proxyPlugins.map(async (proxy): Promise<ProxyState> => {
      const error = await dial(proxy.address)
      return error === undefined ? proxy : { ...proxy, error }
    }),
  )
  const [plugins, refusal] = [await daemon.plugins(), await refusalOf(running)]
  return { ...running, changedFiles: changedFiles(running), plugins, proxies, refusal }
}
