import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'

/** What a request was, as the server saw it. */
interface Seen {
  method: string
  url: string
  authorization: string | undefined
  range: string | undefined
}

export type Handler = (request: IncomingMessage, response: ServerResponse, seen: Seen) => void | Promise<void>

export interface Front {
  host: string
  seen: Seen[]
  close(): Promise<void>
}

/** An HTTP server on this machine that does as it is told, and remembers what it was asked. */
export async function startFront(handler: Handler): Promise<Front> {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    const { authorization, range } = request.headers
    const one = { method: request.method ?? '', url: request.url ?? '', authorization, range }
    seen.push(one)
    void Promise.resolve(handler(request, response, one)).catch((error: unknown) => response.destroy(error as Error))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

/** Passes a request on to a real registry, and its answer back; `alter` may change or cut what comes back. */
export async function passOn(
  host: string,
  request: IncomingMessage,
  response: ServerResponse,
  alter: { dropRange?: boolean; breakAfter?: number } = {},
): Promise<void> {
  const headers = new Headers()
  for (const name of ['accept', 'range']) {
    const value = request.headers[name]
    if (typeof value === 'string' && !(name === 'range' && alter.dropRange)) headers.set(name, value)
  }
  const method = request.method ?? 'GET'
  const answer = await fetch(`http://${host}${request.url}`, { method, headers, redirect: 'manual' })
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  if (answer.body === null || method === 'HEAD') {
    response.end()
    return
  }
  let sent = 0
  for await (const chunk of Readable.fromWeb(answer.body as never)) {
    const data = chunk as Uint8Array
    const left = (alter.breakAfter ?? Infinity) - sent
    if (data.length >= left) {
      // The bytes go out before the line is cut.
      await new Promise((resolve) => response.write(data.subarray(0, left), resolve))
      response.destroy()
      return
    }
    sent += data.length
    response.write(data)
  }
  response.end()
}
