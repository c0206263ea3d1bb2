import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDigest, type Digest } from '../../../functions/image/digest.ts'
import { Connection } from '../../../functions/node/containerd/connection.ts'
import { Content, WriteAction } from '../../../functions/node/containerd/proto/gen/content_pb.js'
import { WriteSession } from '../../../functions/node/containerd/write-session.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { all } from '../../support/all.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { isAtLeast } from '../../support/containerd/versions.ts'

const code = (wanted: string): object => expect.objectContaining({ code: wanted })
const digestOf = (bytes: Uint8Array): Digest =>
  parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)

async function* pieces(bytes: Uint8Array, size = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** Data that must not be asked for. */
async function* untouched(): AsyncGenerator<Uint8Array> {
  expect.unreachable('the data was read')
  yield new Uint8Array()
}

async function collect(data: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await all(data))
}

await describeContainerd('the containerd content store', (version) => {
  let containerd: TestContainerd
  let backend: Backend
  let lease: string

  beforeAll(async () => {
    containerd = await startContainerd({ version })
    const unleased = await containerd.connect()
    lease = (await unleased.leases.create()).id
    backend = unleased.withLease(lease)
  })
  afterAll(() => containerd?.stop())

  /** A half-written blob under the ref that our writer uses, as a killed writer leaves it. */
  const leave = async (expected: { digest: Digest; size: number }, bytes: Uint8Array): Promise<void> => {
    const connection = Connection.to(containerd.address, containerd.namespace).withLease(lease)
    const session = new WriteSession(connection.client(Content))
    const ref = `layercast-${expected.digest}`
    await session.send({ action: WriteAction.STAT, ref, total: BigInt(expected.size), expected: expected.digest })
    await session.send({ action: WriteAction.WRITE, offset: 0n, data: bytes })
    session.cancel()
    connection.close()
  }
  const ingests = async (): Promise<string[]> =>
    (await containerd.ctr('content', 'active'))
      .split('\n')
      .slice(1)
      .filter((line) => line !== '')

  test('what is written is read back, whole and in part, with its labels', async () => {
    const bytes = randomBytes(5_000_003)
    const digest = digestOf(bytes)
    await backend.content.write({ digest, size: bytes.length }, pieces(bytes), { one: '1' })
    expect(await backend.content.info(digest)).toMatchObject({ digest, size: bytes.length, labels: { one: '1' } })
    expect((await collect(backend.content.read(digest))).equals(bytes)).toBe(true)
    for (const [offset, length] of [
      [0, 1],
      [1_048_575, 2],
      [4_999_000, 5_000],
      [5_000_003, undefined],
      [17, 0],
    ] as const) {
      const part = await collect(backend.content.read(digest, length === undefined ? { offset } : { offset, length }))
      expect(part.equals(bytes.subarray(offset, length === undefined ? undefined : offset + length))).toBe(true)
    }
    expect((await containerd.ctr('content', 'ls', '-q')).split('\n')).toContain(digest)
  })

  test('chunks of any size arrive whole, and so does nothing at all', async () => {
    for (const [length, size] of [
      [0, 1],
      [1, 1],
      [3_000_000, 3_000_000],
      [2_097_152, 1_048_576],
      [1_500_000, 7],
    ] as const) {
      const bytes = randomBytes(length)
      await backend.content.write({ digest: digestOf(bytes), size: length }, pieces(bytes, size))
      expect((await collect(backend.content.read(digestOf(bytes)))).equals(bytes)).toBe(true)
    }
  })

  test('writing what is there succeeds without reading the data, and labels it', async () => {
    const bytes = randomBytes(1000)
    const expected = { digest: digestOf(bytes), size: bytes.length }
    await backend.content.write(expected, pieces(bytes), { first: '1' })
    await backend.content.write(expected, untouched(), { second: '2' })
    expect((await backend.content.info(expected.digest)).labels).toEqual({ first: '1', second: '2' })
    expect((await backend.content.label(expected.digest, { first: '' })).labels).toEqual({ second: '2' })
  })

  test.each([
    ['other bytes', (bytes: Buffer) => Buffer.from(bytes.map((byte) => byte ^ 1))],
    ['a byte less', (bytes: Buffer) => bytes.subarray(1)],
    ['a byte more', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from([0])])],
    ['nothing', () => Buffer.alloc(0)],
  ])('%s than expected is DIGEST_MISMATCH and leaves nothing', async (_, spoil) => {
    const bytes = randomBytes(1_200_000)
    const expected = { digest: digestOf(bytes), size: bytes.length }
    await expect(backend.content.write(expected, pieces(spoil(bytes)))).rejects.toEqual(code('DIGEST_MISMATCH'))
    await expect(backend.content.info(expected.digest)).rejects.toEqual(code('BLOB_NOT_FOUND'))
    expect(await ingests()).toEqual([])
    await backend.content.write(expected, pieces(bytes))
  })

  test('data that fails half-way passes its own error on and leaves nothing', async () => {
    const bytes = randomBytes(3_000_000)
    const failure = new TypeError('the source went away')
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 2_000_000)
      throw failure
    }
    const write = backend.content.write({ digest: digestOf(bytes), size: bytes.length }, failing())
    await expect(write).rejects.toBe(failure)
    expect(await ingests()).toEqual([])
  })

  test('what a dead writer left is written over', async () => {
    const bytes = randomBytes(2_000_000)
    const expected = { digest: digestOf(bytes), size: bytes.length }
    await leave(expected, randomBytes(1_500_000))
    expect(await ingests()).toHaveLength(1)
    await backend.content.write(expected, pieces(bytes))
    expect((await collect(backend.content.read(expected.digest))).equals(bytes)).toBe(true)
    expect(await ingests()).toEqual([])
  })

  test('what a dead writer left whole is committed as it is, unless it is something else', async () => {
    const [whole, garbled] = [randomBytes(900_000), randomBytes(900_000)]
    await leave({ digest: digestOf(whole), size: whole.length }, whole)
    await backend.content.write({ digest: digestOf(whole), size: whole.length }, untouched(), { l: '1' })
    expect((await backend.content.info(digestOf(whole))).labels).toEqual({ l: '1' })

    await leave({ digest: digestOf(garbled), size: garbled.length }, randomBytes(900_000))
    await backend.content.write({ digest: digestOf(garbled), size: garbled.length }, pieces(garbled))
    expect((await collect(backend.content.read(digestOf(garbled)))).equals(garbled)).toBe(true)
    expect(await ingests()).toEqual([])
  })

  test('writers of one blob at once all succeed, and one of them writes it', async () => {
    const bytes = randomBytes(4_000_000)
    const expected = { digest: digestOf(bytes), size: bytes.length }
    const others = await Promise.all([containerd.connect(), containerd.connect()])
    let read = 0
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of pieces(bytes)) {
        read += piece.length
        yield piece
      }
    }
    const stores = [backend, ...others.map((other) => other.withLease(lease)), backend]
    await Promise.all(stores.map((store) => store.content.write(expected, counted())))
    expect(read).toBe(bytes.length)
    expect(await ingests()).toEqual([])
  })

  test('a writer that waits takes over when the one before it fails', async () => {
    const bytes = randomBytes(3_000_000)
    const expected = { digest: digestOf(bytes), size: bytes.length }
    const started = Promise.withResolvers<void>()
    const slow = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 1_100_000)
      started.resolve()
      await new Promise((resolve) => setTimeout(resolve, 100))
      throw new Error('gave up')
    }
    const first = backend.content.write(expected, slow())
    const second = started.promise.then(() => backend.content.write(expected, pieces(bytes)))
    await expect(first).rejects.toThrow('gave up')
    await second
    expect((await collect(backend.content.read(expected.digest))).equals(bytes)).toBe(true)
  })

  test('a blob of another namespace is taken over without reading the data', async () => {
    const bytes = randomBytes(200_000)
    const expected = { digest: digestOf(bytes), size: bytes.length }
    await backend.content.write(expected, pieces(bytes))
    const other = await containerd.connect('elsewhere')
    await expect(other.content.info(expected.digest)).rejects.toEqual(code('BLOB_NOT_FOUND'))
    const held = other.withLease((await other.leases.create()).id)
    await held.content.write(expected, untouched())
    expect((await collect(held.content.read(expected.digest))).equals(bytes)).toBe(true)
  })

  test('a blob that is not there is BLOB_NOT_FOUND everywhere', async () => {
    const digest = digestOf(randomBytes(8))
    const { content } = backend
    for (const attempt of [
      () => content.info(digest),
      () => content.label(digest, { a: 'b' }),
      () => content.remove(digest),
      () => collect(content.read(digest)),
      () => collect(content.read(digest, { length: 0 })),
    ]) {
      await expect(attempt()).rejects.toEqual(code('BLOB_NOT_FOUND'))
    }
  })

  test('a paused reader does not hold up other calls, and leaving a read ends it', async () => {
    const bytes = randomBytes(40_000_000)
    const digest = digestOf(bytes)
    await backend.content.write({ digest, size: bytes.length }, pieces(bytes, 1 << 20))
    const paused = Array.from({ length: 8 }, () => backend.content.read(digest)[Symbol.asyncIterator]())
    await Promise.all(paused.map((reader) => reader.next()))
    expect((await collect(backend.content.read(digest))).equals(bytes)).toBe(true)
    await Promise.all(paused.map((reader) => reader.return?.()))
    await backend.content.remove(digest)
    await expect(backend.content.info(digest)).rejects.toEqual(code('BLOB_NOT_FOUND'))
  })

  test.skipIf(isAtLeast(version, '2.3'))(
    'a sha512 blob is refused in words where containerd cannot store it',
    async () => {
      const bytes = randomBytes(10)
      const digest = parseDigest(`sha512:${createHash('sha512').update(bytes).digest('hex')}`)
      await expect(backend.content.write({ digest, size: bytes.length }, pieces(bytes))).rejects.toEqual(
        expect.objectContaining({ code: 'CONTAINERD_FAILED', fix: expect.stringContaining('2.3') }),
      )
      expect(await ingests()).toEqual([])
    },
  )

  test('a list gives every blob', async () => {
    const listed = (await all(backend.content.list())).map(({ digest }) => digest)
    const shown = (await containerd.ctr('content', 'ls', '-q')).split('\n').filter((line) => line !== '')
    expect(listed.toSorted()).toEqual(shown.toSorted())
  })
})
