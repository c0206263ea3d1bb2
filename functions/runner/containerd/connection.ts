import type { DescService } from '@bufbuild/protobuf'
import { createClient, type Client, type Interceptor } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { LayercastError } from '../../image/errors.ts'
import { fromGrpc, unreachable, type Meaning } from './errors.ts'
import { Session } from './session.ts'

export const DEFAULT_ADDRESS = '/run/containerd/containerd.sock'
export const DEFAULT_NAMESPACE = 'default'

// Only the :authority of requests: the socket is what is dialled.
const BASE_URL = 'http://containerd.sock'

/** One HTTP/2 session to a containerd daemon, in one namespace and, when asked, under one lease. */
export class Connection {
  readonly address: string
  readonly namespace: string
  readonly lease: string | undefined
  readonly #session: Session
  readonly #transport: ReturnType<typeof createGrpcTransport>

  private constructor(session: Session, address: string, namespace: string, lease: string | undefined) {
    this.#session = session
    this.address = address
    this.namespace = namespace
    this.lease = lease
    const headers: Interceptor = (next) => (request) => {
      if (session.closed) throw closedError(address)
      request.header.set('containerd-namespace', namespace)
      if (lease !== undefined) request.header.set('containerd-lease', lease)
      return next(request)
    }
    this.#transport = createGrpcTransport({
      baseUrl: BASE_URL,
      sessionManager: session,
      interceptors: [headers],
    })
  }

  /** Dials nothing yet: the first call does. */
  static to(address: string, namespace: string): Connection {
    return new Connection(new Session(BASE_URL, address.replace(/^unix:\/\//, '')), address, namespace, undefined)
  }

  /** The same session, everything made through it held by this lease. */
  withLease(lease: string): Connection {
    return new Connection(this.#session, this.address, this.namespace, lease)
  }

  /** The same session in another namespace, under no lease. */
  inNamespace(namespace: string): Connection {
    return new Connection(this.#session, this.address, namespace, undefined)
  }

  client<T extends DescService>(service: T): Client<T> {
    return createClient(service, this.#transport)
  }

  /** Runs a call; `doing` completes the sentence "cannot ...". Throws LayercastError only. */
  async call<T>(doing: string, run: () => Promise<T>, meaning?: Meaning): Promise<T> {
    try {
      return await run()
    } catch (error) {
      throw this.error(error, doing, meaning)
    }
  }

  /** As `call`, for a stream of answers; leaving the loop early ends the stream. */
  async *stream<T>(
    doing: string,
    run: (signal: AbortSignal) => AsyncIterable<T>,
    meaning?: Meaning,
  ): AsyncGenerator<T> {
    const abort = new AbortController()
    try {
      yield* run(abort.signal)
    } catch (error) {
      throw this.error(error, doing, meaning)
    } finally {
      abort.abort()
    }
  }

  error(error: unknown, doing: string, meaning?: Meaning): LayercastError {
    return this.#session.closed ? closedError(this.address) : fromGrpc(error, this.address, doing, meaning)
  }

  /** Ends the session with all calls that are under way; a process with nothing else to do can then exit. */
  close(): void {
    this.#session.close()
  }
}

function closedError(address: string): LayercastError {
  return unreachable(address, new Error('the connection was closed'))
}
