/** The proxy as a whole: the socket, the two calls that wait, what is counted and what is told. */
import { setTimeout as sleep } from 'node:timers/promises'
import { LayercastError } from '../errors.ts'
import { dialError } from '../linux/unix-socket.ts'
import { Connection } from '../node/containerd/connection.ts'
import { CRI_NAMESPACE } from '../node/cri-namespace.ts'
import type { Backend } from '../node/ports.ts'
import { Gate, isGated, type FailedEvent, type ReadyEvent } from './gate.ts'
import { Metrics, serveMetrics } from './metrics.ts'
import { NodeState } from './node-state.ts'
import { startProxy } from './proxy.ts'
import { Readiness } from './readiness.ts'

/** For how long unpacks under way may clean up at the end. */
const CLEANUP_MS = 8000
/** How long containerd's socket has to take a connection, before the proxy is told to be ill. */
const DIAL_MS = 2000

export interface CriProxyOptions {
  /** The socket that the kubelet is pointed to. */
  listen: string
  /** containerd's socket. */
  upstream: string
  /** Connects to containerd in CRI's namespace. */
  connect(): Promise<Backend>
  configPath?: string | undefined
  budgetMs: number
  onFailure: 'pass' | 'refuse'
  /** For how long calls under way are waited for at the end, in milliseconds. */
  graceMs: number
  metrics?: { host: string; port: number } | undefined
  /** Ends the proxy. */
  signal: AbortSignal
  onEvent(event: CriProxyEvent): void
}

export type CriProxyEvent =
  | { type: 'listening'; listen: string; upstream: string; metrics?: string }
  | ({ type: 'ready' } & ReadyEvent)
  | ({ type: 'failed' } & FailedEvent)
  | { type: 'ending'; connections: number }

/** Runs the proxy until the signal fires. PORT_IN_USE, SYSTEM_CALL_FAILED; what goes wrong with a call is told, and ends nothing. */
export async function runCriProxy(options: CriProxyOptions): Promise<void> {
  const { listen, upstream, budgetMs, onFailure, signal, onEvent } = options
  const work = new AbortController()
  const node = new NodeState({ connect: options.connect, configPath: options.configPath })
  const readiness = new Readiness(node, work.signal)
  const cri = Connection.to(upstream, CRI_NAMESPACE)
  const metrics = new Metrics({ connections: () => proxy.connections, pending: () => readiness.pending })
  const gate = new Gate({
    readiness,
    sandboxImage: () => node.run((backend) => node.sandboxImage(backend)),
    cri,
    budgetMs,
    onFailure,
    onReady(event) {
      metrics.madeReady(event.made.snapshotter, event.made.outcome)
      metrics.waited(event.method, event.ms)
      onEvent({ type: 'ready', ...event })
    },
    onFailed(event) {
      metrics.madeReady('unknown', event.refused ? 'refused' : 'failed')
      metrics.waited(event.method, event.ms)
      onEvent({ type: 'failed', ...event })
    },
  })
  const proxy = await startProxy({
    listen,
    upstream,
    isGated,
    gate: (call, message, stop) => gate.wait(call, message, stop),
    answered: (call, request, answer) => gate.answered(call, request, answer),
    ended: (call, status) => metrics.call(call.method, status),
    upstreamGone: () => node.forget(),
  })
  try {
    const isHealthy = async () => (await dialError(upstream, DIAL_MS)) === undefined
    const server = options.metrics && (await serveMetrics(metrics, options.metrics, isHealthy))
    onEvent({
      type: 'listening',
      listen,
      upstream,
      ...(options.metrics && { metrics: `http://${options.metrics.host}:${options.metrics.port}/metrics` }),
    })
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
    server?.close()
    onEvent({ type: 'ending', connections: proxy.connections })
  } finally {
    await proxy.close(options.graceMs)
    work.abort(new LayercastError('ABORTED', 'the proxy has ended'))
    // What is half made is removed over the connection.
    await Promise.race([readiness.idle(), sleep(CLEANUP_MS, undefined, { ref: false })])
    cri.close()
    node.forget()
  }
}
