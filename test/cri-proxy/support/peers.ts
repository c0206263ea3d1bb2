/** Both ends of a proxied connection, by Node's own HTTP/2 (nghttp2): a server that echoes, and a client's calls. */
import { mkdtemp, rm } from 'node:fs/promises'
import {
  connect as connectH2,
  createServer,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LinkOptions } from '../../../functions/cri-proxy/link.ts'
import { startProxy, type Proxy } from '../../../functions/cri-proxy/proxy.ts'

export interface Answer {
  headers: IncomingHttpHeaders
  trailers: IncomingHttpHeaders
  body: Buffer
}

/** A gRPC frame of one message. */
export function grpcFrame(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + message.length)
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, 5)
  return bytes
}

export type Handler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

/** Answers with the request's bytes, its metadata in the trailers. */
const echo: Handler = (stream, headers) => {
  const parts: Buffer[] = []
  stream.on('data', (part: Buffer) => parts.push(part))
  stream.on('end', () => {
    if (stream.destroyed) return
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-said': headers['x-said'] ?? '' }))
    stream.end(Buffer.concat(parts))
  })
}

export interface Peers {
  readonly directory: string
  readonly listen: string
  readonly upstream: string
  readonly proxy: Proxy
  /** Calls that have ended, with their status. */
  readonly ended: [method: string, status: number | undefined][]
  /** A new connection of a client. */
  session(path?: string): ClientHttp2Session
  /** Starts the server again where `stopServer` ended it. */
  startServer(): Promise<void>
  stopServer(): Promise<void>
  close(): Promise<void>
}

/** @param handler of every call; a throw resets the call */
export async function startPeers(
  options: Partial<Pick<LinkOptions, 'gate' | 'isGated' | 'answered'>> & { handler?: Handler } = {},
): Promise<Peers> {
  const directory = await mkdtemp(join(tmpdir(), 'layercast-proxy-'))
  const [listen, upstream] = [join(directory, 'cri.sock'), join(directory, 'containerd.sock')]
  const ended: [string, number | undefined][] = []
  const sessions = new Set<ClientHttp2Session>()
  let server: Http2Server | undefined
  const serverSessions = new Set<{ destroy(): void }>()
  const startServer = async (): Promise<void> => {
    await rm(upstream, { force: true })
    server = createServer()
    server.on('session', (session) => {
      serverSessions.add(session)
      session.on('error', () => undefined)
    })
    server.on('stream', (stream, headers) => {
      stream.on('error', () => undefined)
      ;(options.handler ?? echo)(stream, headers)
    })
    await new Promise<void>((resolve) => server?.listen(upstream, resolve))
  }
  const stopServer = async (): Promise<void> => {
    const old = server
    for (const session of serverSessions) session.destroy()
    serverSessions.clear()
    await new Promise<void>((resolve) => (old === undefined ? resolve() : old.close(() => resolve())))
  }
  await startServer()
  const proxy = await startProxy({
    listen,
    upstream,
    isGated: options.isGated ?? ((method) => method.endsWith('/Gated')),
    gate: options.gate ?? (() => Promise.resolve({ pass: true })),
    answered: options.answered ?? (() => undefined),
    ended: ({ method }, status) => ended.push([method, status]),
  })
  return {
    directory,
    listen,
    upstream,
    proxy,
    ended,
    session(path = listen) {
      const session = connectH2('http://peer', { createConnection: () => connect(path) })
      session.on('error', () => undefined)
      sessions.add(session)
      return session
    },
    startServer,
    stopServer,
    async close() {
      for (const session of sessions) session.destroy()
      await proxy.close(0)
      await stopServer()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

export function open(
  session: ClientHttp2Session,
  method: string,
  metadata: Record<string, string> = {},
): ClientHttp2Stream {
  return session.request({
    ':method': 'POST',
    ':path': `/runtime.v1.RuntimeService/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...metadata,
  })
}

/** A unary call. */
export async function call(
  session: ClientHttp2Session,
  method: string,
  message: Uint8Array,
  metadata: Record<string, string> = {},
): Promise<Answer> {
  const stream = open(session, method, metadata)
  stream.end(grpcFrame(message))
  return await answerOf(stream)
}

export async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  const parts: Buffer[] = []
  let headers: IncomingHttpHeaders = {}
  let trailers: IncomingHttpHeaders = {}
  stream.on('response', (found) => (headers = found))
  stream.on('trailers', (found) => (trailers = found))
  stream.on('data', (part: Buffer) => parts.push(part))
  await new Promise<void>((resolve, reject) => {
    stream.on('end', resolve)
    stream.on('error', reject)
    stream.on('close', () => (stream.rstCode === 0 ? resolve() : reject(new Error(`reset with ${stream.rstCode}`))))
  })
  if (headers[':status'] === undefined) throw new Error('the connection ended before an answer')
  return { headers, trailers, body: Buffer.concat(parts) }
}
