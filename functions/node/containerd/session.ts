/** The HTTP/2 session under the gRPC calls. */
import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { connect as connectSocket } from 'node:net'

// HTTP/2's default windows of 64 KiB make reads of whole layers slow, and one reader that pauses would block all other calls,
// because the session's window is shared.
const STREAM_WINDOW = 1 << 20
const SESSION_WINDOW = 1 << 30

/**
 * One HTTP/2 session over a unix socket. It connects at the first request, and again after the connection broke; it keeps the
 * process alive only while requests are open. connect-node's own session manager is not used, because it leaves an error
 * unhandled, which ends the process, when the peer does not speak HTTP/2.
 */
export class Session {
  readonly authority: string
  readonly #path: string
  #dialled: Promise<ClientHttp2Session> | undefined
  #open = 0
  #closed = false

  /** @param authority the URL in the requests; the connection goes to `path` */
  constructor(authority: string, path: string) {
    this.authority = authority
    this.#path = path
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Issues a request; for connect-node. */
  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: object,
  ): Promise<ClientHttp2Stream> {
    const session = await (this.#dialled ??= this.#dial())
    const stream = session.request({ ...headers, ':method': method, ':path': path }, options)
    if (this.#open++ === 0) session.ref()
    stream.once('close', () => {
      if (--this.#open === 0 && !session.destroyed) session.unref()
    })
    return stream
  }

  /** Part of connect-node's interface, for keep-alive, which a unix socket does not need. */
  notifyResponseByteRead(): void {}

  /** Ends the session with all that is open on it. */
  close(): void {
    this.#closed = true
    const dialled = this.#dialled
    this.#dialled = undefined
    dialled?.then(
      (session) => session.destroy(),
      () => undefined,
    )
  }

  #dial(): Promise<ClientHttp2Session> {
    const dialled = new Promise<ClientHttp2Session>((resolve, reject) => {
      const session = connectHttp2(this.authority, {
        createConnection: () => connectSocket(this.#path),
        settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
      })
      const forget = (): void => {
        if (this.#dialled === dialled) this.#dialled = undefined
      }
      session.once('connect', () => {
        session.setLocalWindowSize(SESSION_WINDOW)
        session.unref()
        resolve(session)
      })
      // Without a listener the error would end the process. Open requests get it too.
      session.on('error', (error) => {
        forget()
        reject(error)
      })
      session.once('goaway', forget)
      session.once('close', () => {
        forget()
        reject(new Error('the connection ended at once'))
      })
    })
    return dialled
  }
}
