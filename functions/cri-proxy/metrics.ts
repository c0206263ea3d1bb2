/** What the proxy counts, in the text format of Prometheus, and the server that shows it. */
import { createServer, type Server } from 'node:http'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { LayercastError } from '../errors.ts'

/** Methods that are told apart; a client may send paths without end. */
const MOST_METHODS = 200

export class Metrics {
  readonly #registry = new Registry()
  readonly #methods = new Set<string>()
  readonly #calls = new Counter({
    name: 'layercast_cri_calls_total',
    help: 'Calls that went through, by method and outcome (the gRPC status code, or reset).',
    labelNames: ['method', 'outcome'] as const,
    registers: [this.#registry],
  })
  readonly #made = new Counter({
    name: 'layercast_cri_made_ready_total',
    help: 'Looks at a chain before a call, by snapshotter and outcome: ready, unpacked, repaired, left, skipped, failed, refused.',
    labelNames: ['snapshotter', 'outcome'] as const,
    registers: [this.#registry],
  })
  readonly #added = new Histogram({
    name: 'layercast_cri_added_seconds',
    help: 'Time that a call waited here for what it needs, by method.',
    labelNames: ['method'] as const,
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
    registers: [this.#registry],
  })

  /** @param now what is asked when the figures are: open connections, chains that are being made */
  constructor(now: { connections(): number; pending(): number }) {
    const gauge = (name: string, help: string, value: () => number): Gauge =>
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(value())
        },
      })
    gauge('layercast_cri_connections', 'Connections of clients.', () => now.connections())
    gauge('layercast_cri_chains_pending', 'Chains that are being made, and calls wait for.', () => now.pending())
  }

  call(path: string, status: number | undefined): void {
    const known = this.#methods.has(path) || (this.#methods.size < MOST_METHODS && /^\/[\w.]+\/\w+$/.test(path))
    if (known) this.#methods.add(path)
    this.#calls.inc({ method: known ? path : 'other', outcome: status === undefined ? 'reset' : `${status}` })
  }

  madeReady(snapshotter: string, outcome: string): void {
    this.#made.inc({ snapshotter, outcome })
  }

  waited(method: string, ms: number): void {
    this.#added.observe({ method }, ms / 1000)
  }

  async text(): Promise<string> {
    return await this.#registry.metrics()
  }
}

/** Serves `/metrics`, and `/healthz`, which answers 200 where `healthy` does. PORT_IN_USE. */
export async function serveMetrics(
  metrics: Metrics,
  address: { host: string; port: number },
  healthy: () => Promise<boolean>,
): Promise<Server> {
  const server = createServer((request, response) => {
    void answer(request.url ?? '/').then(
      ({ status, type, body }) => response.writeHead(status, { 'content-type': type }).end(body),
      (error: unknown) => response.destroy(error instanceof Error ? error : undefined),
    )
  })
  const answer = async (url: string): Promise<{ status: number; type: string; body: string }> => {
    const type = 'text/plain; charset=utf-8'
    if (url === '/metrics')
      return { status: 200, type: `text/plain; version=0.0.4; charset=utf-8`, body: await metrics.text() }
    if (url !== '/healthz') return { status: 404, type, body: 'not found\n' }
    return (await healthy())
      ? { status: 200, type, body: 'ok\n' }
      : { status: 503, type, body: 'containerd does not answer\n' }
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new LayercastError('PORT_IN_USE', `cannot listen at ${address.host}:${address.port} for metrics`, {
          cause,
          fix: 'Give --metrics another address.',
        }),
      ),
    )
    server.listen(address.port, address.host, resolve)
  })
  return server
}
