import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { frame, HEADERS, PREFACE } from '../../functions/cri-proxy/frames.ts'
import type { Verdict } from '../../functions/cri-proxy/link.ts'
import { answerOf, call, grpcFrame, open, startPeers, type Peers } from './support/peers.ts'

let peers: Peers | undefined
afterEach(async () => {
  await peers?.close()
  peers = undefined
})

/** A gate that the test opens. */
function heldGate() {
  const asked: { message: Buffer; signal: AbortSignal; method: string }[] = []
  const { promise, resolve } = Promise.withResolvers<Verdict>()
  return {
    asked,
    open: (verdict: Verdict) => resolve(verdict),
    gate: async ({ method }: { method: string }, message: Uint8Array, signal: AbortSignal): Promise<Verdict> => {
      asked.push({ method, message: Buffer.from(message), signal })
      return await promise
    },
  }
}

test('messages, metadata and trailers come through as they were, whatever their size, gated or not', async () => {
  const seen: Buffer[] = []
  peers = await startPeers({
    gate: (_, message) => {
      seen.push(Buffer.from(message))
      return Promise.resolve({ pass: true })
    },
  })
  const session = peers.session()
  for (const size of [0, 1, 4, 5, 16_379, 16_384, 70_000, 1_000_000]) {
    const message = randomBytes(size)
    for (const method of ['Plain', 'Gated']) {
      const said = `${size} ${'ü'.repeat(3)}`.normalize()
      const answer = await call(session, method, message, { 'x-said': encodeURIComponent(said) })
      expect(answer.body.equals(grpcFrame(message))).toBe(true)
      expect([answer.headers[':status'], answer.trailers['grpc-status']]).toEqual([200, '0'])
      expect(answer.trailers['x-said']).toBe(encodeURIComponent(said))
    }
    expect(seen.at(-1)?.equals(message)).toBe(true)
  }
  expect(peers.ended).toHaveLength(16)
  expect(peers.ended.every(([, status]) => status === 0)).toBe(true)
})

test('a gated call waits, and calls beside it do not', async () => {
  const { gate, open: release, asked } = heldGate()
  peers = await startPeers({ gate })
  const session = peers.session()
  const held = call(session, 'Gated', Buffer.from('wait'))
  await vi.waitUntil(() => asked.length === 1)
  let done = false
  void held.then(() => (done = true))
  for (let index = 0; index < 100; index++) {
    expect((await call(session, 'Plain', randomBytes(2000))).trailers['grpc-status']).toBe('0')
  }
  expect(done).toBe(false)
  expect(asked[0]?.message.toString()).toBe('wait')
  release({ pass: true })
  expect((await held).body.subarray(5).toString()).toBe('wait')
})

test('many calls that wait at once take nothing of the windows from the others', async () => {
  const { gate, open: release, asked } = heldGate()
  peers = await startPeers({ gate })
  const session = peers.session()
  // Together more than a connection's first window of 64 KiB.
  const held = Array.from({ length: 40 }, () => call(session, 'Gated', randomBytes(10_000)))
  await vi.waitUntil(() => asked.length === 40)
  expect((await call(session, 'Plain', randomBytes(100_000))).body).toHaveLength(100_005)
  release({ pass: true })
  expect((await Promise.all(held)).every(({ body }) => body.length === 10_005)).toBe(true)
})

test('a refused call is answered in place of the server, which never hears its end; the connection goes on', async () => {
  let reached = 0
  peers = await startPeers({
    gate: () => Promise.resolve({ pass: false, status: 9, message: 'not ready: ünder erofs\n50%' }),
    handler: (stream) => {
      stream.on('data', () => undefined)
      stream.on('end', () => {
        // Node says that a stream that was reset has ended.
        if (stream.destroyed) return
        reached++
        stream.respond({ ':status': 200 }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        stream.end()
      })
    },
  })
  const session = peers.session()
  for (let index = 0; index < 20; index++) {
    const { headers } = await call(session, 'Gated', randomBytes(100))
    expect([headers['grpc-status'], decodeURIComponent(`${headers['grpc-message']}`)]).toEqual([
      '9',
      'not ready: ünder erofs\n50%',
    ])
  }
  expect((await call(session, 'Plain', randomBytes(10))).trailers['grpc-status']).toBe('0')
  expect(reached).toBe(1)
  expect(peers.ended.filter(([, status]) => status === 9)).toHaveLength(20)
})

test('a client that gives a waiting call up is not waited for, and the server hears of it', async () => {
  const { gate, asked } = heldGate()
  const resets: number[] = []
  peers = await startPeers({ gate, handler: (stream) => stream.on('close', () => resets.push(stream.rstCode)) })
  const session = peers.session()
  const stream = open(session, 'Gated')
  stream.on('error', () => undefined)
  stream.end(grpcFrame(randomBytes(50)))
  await vi.waitUntil(() => asked.length === 1)
  stream.close(8)
  await vi.waitUntil(() => asked[0]?.signal.aborted === true && resets.length === 1)
  expect(resets).toEqual([8])
  expect(peers.ended).toEqual([['/runtime.v1.RuntimeService/Gated', undefined]])
})

test('a server that answers before it has the whole request ends the wait', async () => {
  const { gate, open: release, asked } = heldGate()
  peers = await startPeers({
    gate,
    handler: (stream) => {
      stream.on('data', () => undefined)
      setTimeout(() => stream.respond({ ':status': 200, 'grpc-status': '4' }, { endStream: true }), 50)
    },
  })
  const session = peers.session()
  const { headers } = await call(session, 'Gated', randomBytes(50))
  expect(headers['grpc-status']).toBe('4')
  await vi.waitUntil(() => asked[0]?.signal.aborted === true)
  release({ pass: true })
  await sleep(20)
  const again = await call(session, 'Gated', randomBytes(50))
  expect(again.headers['grpc-status']).toBe('4')
})

test('the answer to a gated call is shown, whole', async () => {
  const answers: [string, string][] = []
  peers = await startPeers({
    answered: (_, request, message) => answers.push([Buffer.from(request).toString(), Buffer.from(message).toString()]),
  })
  const session = peers.session()
  await call(session, 'Gated', Buffer.from('one'))
  await call(session, 'Plain', Buffer.from('two'))
  expect(answers).toEqual([['one', 'one']])
})

test('ten thousand messages of a stream come in their order, and a slow reader stops the sender', async () => {
  let sent = 0
  peers = await startPeers({
    handler: (stream) => {
      stream.respond({ ':status': 200 })
      const more = (): void => {
        while (sent < 10_000) {
          const bytes = grpcFrame(Buffer.from(`${sent} ${'x'.repeat(1000)}`))
          sent++
          if (!stream.write(bytes)) {
            stream.once('drain', more)
            return
          }
        }
        stream.end()
      }
      more()
    },
  })
  const stream = open(peers.session(), 'GetContainerEvents')
  stream.end(grpcFrame(new Uint8Array()))
  stream.pause()
  await sleep(300)
  const early = sent
  await sleep(300)
  // Some windows and buffers' worth, and not ten megabytes.
  expect(sent).toBe(early)
  expect(early).toBeLessThan(5000)
  let rest = Buffer.alloc(0)
  let next = 0
  stream.on('data', (part: Buffer) => {
    rest = Buffer.concat([rest, part])
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
      const message = rest.subarray(5, 5 + rest.readUInt32BE(1)).toString()
      if (message.startsWith(`${next} `)) next++
      rest = rest.subarray(5 + message.length)
    }
  })
  stream.resume()
  await new Promise((resolve) => stream.on('end', resolve))
  expect(next).toBe(10_000)
})

test('a server that goes takes its connections along, and the next ones find the new server', async () => {
  peers = await startPeers()
  const session = peers.session()
  await call(session, 'Plain', Buffer.from('before'))
  const closed = new Promise((resolve) => session.once('close', resolve))
  await peers.stopServer()
  await closed
  const refused = peers.session()
  await expect(call(refused, 'Plain', Buffer.from('meanwhile'))).rejects.toThrow(/ended|canceled|hang up/)
  await peers.startServer()
  expect((await call(peers.session(), 'Plain', Buffer.from('after'))).body.subarray(5).toString()).toBe('after')
})

test('at its end the proxy finishes what is under way and takes nothing new', async () => {
  const { gate, open: release, asked } = heldGate()
  peers = await startPeers({ gate })
  const session = peers.session()
  const held = call(session, 'Gated', Buffer.from('under way'))
  await vi.waitUntil(() => asked.length === 1)
  const goaway = new Promise((resolve) => session.once('goaway', resolve))
  const closing = peers.proxy.close(5000)
  await goaway
  await expect(call(peers.session(), 'Plain', Buffer.from('late'))).rejects.toThrow(/ended|canceled|ENOENT/)
  release({ pass: true })
  expect((await held).body.subarray(5).toString()).toBe('under way')
  await closing
})

test('broken and hostile clients are cut off, and the others notice nothing', async () => {
  const { listen } = (peers = await startPeers())
  const session = peers.session()
  const block = Buffer.alloc(60_000, 0x40)
  const hostile: Buffer[] = [
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    randomBytes(5000),
    Buffer.concat([PREFACE, frame(4, 0, 0, new Uint8Array()), randomBytes(5000)]),
    // A header block that names entries that are not there; one without end.
    Buffer.concat([PREFACE, frame(4, 0, 0, new Uint8Array()), frame(HEADERS, 5, 1, Buffer.from([0xff, 0x70]))]),
    Buffer.concat([
      PREFACE,
      frame(4, 0, 0, new Uint8Array()),
      frame(HEADERS, 0, 1, block),
      ...Array.from({ length: 20 }, () => frame(9, 0, 1, block)),
    ]),
    // A frame that says sixteen megabytes.
    Buffer.concat([PREFACE, frame(4, 0, 0, new Uint8Array()), Buffer.from('ffffff010000000001', 'hex')]),
  ]
  for (const bytes of hostile) {
    const socket = connect(listen)
    socket.on('error', () => undefined)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write(bytes)
    socket.resume()
    expect((await call(session, 'Plain', Buffer.from('fine'))).trailers['grpc-status']).toBe('0')
    socket.end()
    await closed
  }
  // Half a frame, and then nothing.
  const silent = connect(listen)
  silent.on('error', () => undefined)
  silent.write(Buffer.concat([PREFACE, Buffer.from('0000')]))
  expect((await call(session, 'Gated', Buffer.from('fine'))).trailers['grpc-status']).toBe('0')
  silent.destroy()
})

test('a thousand connections at once are served, and are gone when they end', async () => {
  peers = await startPeers()
  const { proxy } = peers
  const sessions: ReturnType<Peers['session']>[] = []
  const answers: Awaited<ReturnType<typeof call>>[] = []
  // A listening socket queues some hundreds at a time.
  for (let batch = 0; batch < 10; batch++) {
    const next = Array.from({ length: 100 }, () => peers?.session()).filter((session) => session !== undefined)
    answers.push(...(await Promise.all(next.map((session) => call(session, 'Plain', Buffer.from('one of many'))))))
    sessions.push(...next)
  }
  expect(proxy.connections).toBe(1000)
  expect(answers.every((answer) => answer.trailers['grpc-status'] === '0')).toBe(true)
  for (const session of sessions) session.destroy()
  await vi.waitUntil(() => proxy.connections === 0, { timeout: 10_000 })
})

test('a call without end on one stream does not keep answers of others', async () => {
  peers = await startPeers()
  const session = peers.session()
  const streams = Array.from({ length: 50 }, () => open(session, 'Plain'))
  for (const stream of streams) stream.on('error', () => undefined)
  expect((await call(session, 'Gated', randomBytes(3000))).body).toHaveLength(3005)
  const [first] = streams
  if (first === undefined) throw new Error('no stream')
  first.end(grpcFrame(Buffer.from('at last')))
  expect((await answerOf(first)).body.subarray(5).toString()).toBe('at last')
})
