/** The proxy: a socket of its own, and one connection to containerd for each that it accepts. */
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Link, type LinkOptions } from './link.ts'
import { listenAt } from './socket-file.ts'

export interface ProxyOptions extends Omit<LinkOptions, 'client' | 'upstream'> {
  /** The path of the socket that clients connect to. */
  listen: string
  /** The path of containerd's. */
  upstream: string
  /** Told when containerd has ended a connection, or is not there. */
  upstreamGone?(): void
}

export interface Proxy {
  /** Connections that are open. */
  readonly connections: number
  /** Takes no new calls, waits at most so long for those under way, and ends. */
  close(graceMs: number): Promise<void>
}

/** More than the kubelet, its tools and whatever else on a node have open. */
const MOST_CONNECTIONS = 4096
const POLL_MS = 20

/** Starts the proxy. Errors as `listenAt`; whatever goes wrong with one connection later ends that one only. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { listen, upstream, upstreamGone, ...shared } = options
  const links = new Set<Link>()
  const server = createServer((client) => {
    // Where containerd is not there, the client's connection ends, as at containerd's own socket: gRPC says UNAVAILABLE.
    const daemon = connect(upstream)
    for (const sign of ['end', 'error'] as const) {
      // A client that goes ends its connection to containerd too; that says nothing of containerd.
      daemon.once(sign, () => !client.readableEnded && !client.destroyed && upstreamGone?.())
    }
    const link = new Link({ client, upstream: daemon, ...shared })
    links.add(link)
    client.once('close', () => links.delete(link))
  })
  server.maxConnections = MOST_CONNECTIONS
  const socket = await listenAt(server, listen, upstream)
  return {
    get connections() {
      return links.size
    },
    async close(graceMs) {
      socket.remove()
      server.close()
      for (const link of links) link.drain()
      const end = performance.now() + graceMs
      while (performance.now() < end && [...links].some((link) => link.open > 0)) await sleep(POLL_MS)
      for (const link of links) link.close()
    },
  }
}
