/** Calls of the daemon's gRPC services, in one namespace and under one lease. */
import type { DescService } from '@bufbuild/protobuf'
import { createClient, type Client, type Interceptor } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import type { LayercastError } from '../../errors.ts'
import { socketPath } from '../../linux/unix-socket.ts'
import { Calls, type CallOptions } from './calls.ts'
import { answered, fromGrpc, daemonUnreachable, type Meaning } from './errors.ts'
import { Session } from './session.ts'

const DEFAULT_ADDRESS = '/run/containerd/containerd.sock'
export const DEFAULT_NAMESPACE = 'default'

// Only the :authority of requests: the connection goes to the socket.
const BASE_URL = 'http://containerd.sock'

/** The daemon's socket: the one that is named, else CONTAINERD_ADDRESS, else where containerd puts it. */
export function daemonAddress(named: string | undefined): string {
  return named ?? (process.env['CONTAINERD_ADDRESS'] || DEFAULT_ADDRESS)
}

/** One HTTP/2 session to a containerd daemon, in one namespace and, when asked, under one lease. */
export class Connection {
  readonly address: string
  readonly namespace: string
  readonly lease: string | undefined
  readonly #session: Session
  readonly #calls: Calls
  readonly #transport: ReturnType<typeof createGrpcTransport>

  private constructor(session: Session, calls: Calls, address: string, namespace: string, lease: string | undefined) {
    this.#session = session
    this.#calls = calls
    this.address = address
    this.namespace = namespace
    this.lease = lease
    const headers: Interceptor = (next) => (request) => {
      if (session.closed) throw closedError(address)
      request.header.set('containerd-namespace', namespace)
      if (lease !== undefined) request.header.set('containerd-lease', lease)
      const { stop } = calls
      return next(stop === undefined ? request : { ...request, signal: AbortSignal.any([request.signal, stop]) })
    }
    this.#transport = createGrpcTransport({
      baseUrl: BASE_URL,
      sessionManager: session,
      interceptors: [headers],
    })
  }

  /** Connects at the first call. */
  static to(address: string, namespace: string, options: CallOptions = {}): Connection {
    const session = new Session(BASE_URL, socketPath(address))
    return new Connection(session, new Calls(options), address, namespace, undefined)
  }

  /** The same session; the lease holds everything that is made through it. */
  withLease(lease: string): Connection {
    return new Connection(this.#session, this.#calls, this.address, this.namespace, lease)
  }

  /** The same session in another namespace, under no lease. */
  inNamespace(namespace: string): Connection {
    return new Connection(this.#session, this.#calls, this.address, namespace, undefined)
  }

  client<T extends DescService>(service: T): Client<T> {
    return createClient(service, this.#transport)
  }

  /** Runs a call; `doing` completes the sentence "cannot ...". Throws LayercastError only. */
  async call<T>(doing: string, run: () => Promise<T>, meaning?: Meaning): Promise<T> {
    const { done } = this.#calls.watch(doing)
    try {
      return await run()
    } catch (error) {
      throw this.error(error, doing, meaning)
    } finally {
      done()
    }
  }

  /** As `call`, for a stream of answers; leaving the loop early ends the stream. */
  async *stream<T>(
    doing: string,
    run: (signal: AbortSignal) => AsyncIterable<T>,
    meaning?: Meaning,
  ): AsyncGenerator<T> {
    const abort = new AbortController()
    const { heard, done } = this.#calls.watch(doing)
    try {
      for await (const answer of run(abort.signal)) {
        heard()
        yield answer
        // The time that the reader took is not the daemon's silence.
        heard()
      }
    } catch (error) {
      throw this.error(error, doing, meaning)
    } finally {
      done()
      abort.abort()
    }
  }

  /** The LayercastError for what a call threw. */
  error(error: unknown, doing: string, meaning?: Meaning): LayercastError {
    if (this.#session.closed) return closedError(this.address)
    const stopped = answered(error) === undefined ? this.#calls.stopped(doing, error) : undefined
    return stopped ?? fromGrpc(error, this.address, doing, meaning)
  }

  /** Ends the session with all running calls. */
  close(): void {
    this.#calls.close()
    this.#session.close()
  }
}

function closedError(address: string): LayercastError {
  return daemonUnreachable(address, new Error('the connection was closed'))
}
