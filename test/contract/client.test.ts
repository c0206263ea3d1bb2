import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { createClient, everyItem } from '../../functions/contract/client.ts'

/** The client against what is no layercast API: servers that fail, lie, stall or redirect. */

const servers: Server[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function listen(handler: RequestListener): Promise<string> {
  const server = createServer(handler)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const DIGEST = `sha256:${'0'.repeat(64)}`

describe('no answer', () => {
  test('nothing listens: SERVER_UNREACHABLE, with the reason', async () => {
    const server = await listen(() => undefined)
    await new Promise((resolve) => servers.pop()?.close(resolve))
    const asked = createClient({ server }).health()
    await expect(asked).rejects.toMatchObject({
      code: 'SERVER_UNREACHABLE',
      exit: 4,
      message: expect.stringContaining('ECONNREFUSED') as unknown,
    })
  })

  test('the server stalls: SERVER_UNREACHABLE after the time that was given', async () => {
    const server = await listen(() => undefined)
    await expect(createClient({ server, timeoutMs: 50 }).health()).rejects.toMatchObject({
      code: 'SERVER_UNREACHABLE',
      message: expect.stringContaining('in time') as unknown,
    })
  })

  test('the server stalls in the middle of its answer', async () => {
    const server = await listen((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"ok":')
    })
    await expect(createClient({ server, timeoutMs: 100 }).health()).rejects.toMatchObject({
      code: 'SERVER_UNREACHABLE',
    })
  })

  test('the connection breaks in the middle of the answer', async () => {
    const server = await listen((_, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('{', () => response.destroy())
    })
    await expect(createClient({ server }).health()).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' })
  })

  test('the caller aborts: ABORTED', async () => {
    const server = await listen(() => undefined)
    const controller = new AbortController()
    const asked = createClient({ server, signal: controller.signal }).health()
    controller.abort()
    await expect(asked).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test.each(['', 'localhost:8787', 'ftp://x', '/v1'])('an address that is none, %j: USAGE', async (server) => {
    await expect(createClient({ server }).health()).rejects.toMatchObject({ code: 'USAGE', exit: 2 })
  })
})

describe('another answer', () => {
  test('a page: what it is not is said', async () => {
    const server = await listen((_, response) => response.end('<html>'))
    await expect(createClient({ server }).health()).rejects.toMatchObject({ code: 'SERVER_FAILED' })
  })

  test('a status without a problem document', async () => {
    const server = await listen((_, response) => response.writeHead(502).end('bad gateway'))
    await expect(createClient({ server }).health()).rejects.toMatchObject({
      code: 'SERVER_FAILED',
      detail: { status: 502 },
    })
  })

  test('a redirect is not followed: the token goes nowhere else', async () => {
    const got: string[] = []
    const thief = await listen((request, response) => {
      got.push(String(request.headers.authorization))
      response.end('{}')
    })
    const server = await listen((_, response) => response.writeHead(307, { location: thief }).end())
    const asked = createClient({ server, token: 'lc_secret' }).nodes()
    await expect(asked).rejects.toMatchObject({ code: 'SERVER_FAILED' })
    expect(got).toEqual([])
  })

  test('an answer without end is not held in memory', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 0x20)
    let sent = 0
    const server = await listen((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length
        sent += chunk.length
      }
      response.on('drain', more)
      more()
    })
    await expect(createClient({ server }).health()).rejects.toMatchObject({ code: 'SERVER_FAILED' })
    expect(sent).toBeLessThan(200 * 1024 * 1024)
  })

  test.each([202, 206, 304])('a status that the call does not have, %i: SERVER_FAILED', async (status) => {
    const server = await listen((_, response) => response.writeHead(status).end())
    const client = createClient({ server })
    for (const asked of [client.removeNode('x'), client.getPlan(DIGEST), client.ownAssignment()]) {
      await expect(asked).rejects.toMatchObject({ code: 'SERVER_FAILED' })
    }
  })

  test('an assignment that is none: SERVER_FAILED', async () => {
    for (const text of ['', '{"generation":1,"pl', '<html>', 'null', '{"generation":1}']) {
      const server = await listen((_, response) => response.end(text))
      await expect(createClient({ server }).ownAssignment()).rejects.toMatchObject({ code: 'SERVER_FAILED' })
    }
  })

  test('that says when to ask again: the error has it', async () => {
    for (const status of [302, 429, 503]) {
      const server = await listen((_, response) => response.writeHead(status, { 'retry-after': '7' }).end())
      const asked = createClient({ server }).health()
      await expect(asked).rejects.toMatchObject({ detail: { retryAfterMs: 7000 } })
    }
  })

  test('a plan that is none, or another than was asked for, is not believed', async () => {
    const server = await listen((_, response) => response.end('{"schema":"layercast.plan/v1"}'))
    await expect(createClient({ server }).getPlan(DIGEST)).rejects.toMatchObject({ code: 'PLAN_INVALID' })
  })

  test('fields that this version does not know are passed over', async () => {
    const server = await listen((_, response) => response.end('{"ok":true,"since":"tomorrow"}'))
    expect(await createClient({ server }).health()).toEqual({ ok: true })
  })
})

describe('what is sent', () => {
  test('goes below a path that the address has, with the parameters encoded and the token', async () => {
    const seen: string[] = []
    const server = await listen((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.authorization}`)
      response.writeHead(204).end()
    })
    for (const base of [`${server}/edge`, `${server}/edge/`]) {
      await createClient({ server: base, token: 't' }).removeNode('a/../b?c')
    }
    expect(seen).toEqual(Array.from({ length: 2 }, () => 'DELETE /edge/v1/nodes/a%2F..%2Fb%3Fc Bearer t'))
  })
})

test('every item of every page comes in order, and pages are asked for one at a time', async () => {
  const pages: Record<string, { items: number[]; nextCursor?: string }> = {
    '': { items: [1, 2], nextCursor: 'b' },
    b: { items: [], nextCursor: 'c' },
    c: { items: [3] },
  }
  const asked: string[] = []
  const items: number[] = []
  const list = ({ cursor = '' }) => {
    asked.push(cursor)
    return Promise.resolve(pages[cursor] ?? { items: [] })
  }
  for await (const item of everyItem(list)) items.push(item)
  expect([items, asked]).toEqual([
    [1, 2, 3],
    ['', 'b', 'c'],
  ])
})
