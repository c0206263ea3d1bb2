import { connect } from 'node:net'
import type { ContainerdBackend, Plugin } from '../containerd/index.ts'
import { readNodeConfig, type DaemonVersion, type NodeConfig, type ProxyPlugin } from '../node-config/index.ts'

/** A proxy plugin of the configuration, and why nobody answers at its socket; absent where somebody does. */
export interface ProxyState extends ProxyPlugin {
  error?: string
}

/** All that the checks look at, gathered once. */
export interface NodeFacts {
  /** As the daemon says it, such as `v2.3.4`. */
  version: string
  daemon: DaemonVersion & { patch: number }
  config: NodeConfig
  plugins: readonly Plugin[]
  proxies: readonly ProxyState[]
}

/** The numbers of a daemon's version (`v2.3.4`, `1.6.20~ds1`); zeros where it says none. */
export function parseDaemonVersion(text: string): DaemonVersion & { patch: number } {
  const [, major = '0', minor = '0', patch = '0'] = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text) ?? []
  return { major: Number(major), minor: Number(minor), patch: Number(patch) }
}

const DIAL_MS = 2_000

async function dial(address: string): Promise<string | undefined> {
  const path = address.replace(/^unix:\/\//, '')
  return await new Promise((resolve) => {
    const socket = connect(path)
    const finish = (error: string | undefined) => {
      socket.destroy()
      resolve(error)
    }
    socket.setTimeout(DIAL_MS, () => finish(`no answer within ${DIAL_MS / 1000} s`))
    socket.once('connect', () => finish(undefined))
    socket.once('error', (error) => finish(error.message))
  })
}

/**
 * Reads the daemon and its configuration.
 * @param options.configPath the file that the daemon was started with; containerd's default where it is left out
 * @throws CONTAINERD_UNREACHABLE, FILE_NOT_FOUND, NODE_CONFIG_INVALID
 */
export async function gatherFacts(
  backend: Pick<ContainerdBackend, 'version' | 'plugins'>,
  options: { configPath?: string },
): Promise<NodeFacts> {
  const version = await backend.version()
  const daemon = parseDaemonVersion(version)
  const path = options.configPath
  const config = readNodeConfig({ daemon, ...(path === undefined ? {} : { path }) })
  const proxies = await Promise.all(
    config.proxyPlugins.map(async (proxy): Promise<ProxyState> => {
      const error = await dial(proxy.address)
      return error === undefined ? proxy : { ...proxy, error }
    }),
  )
  return { version, daemon, config, plugins: await backend.plugins(), proxies }
}
