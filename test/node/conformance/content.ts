import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Digest } from '../../../functions/image/digest.ts'
import type { ContentStore } from '../../../functions/node/ports.ts'
import { all } from '../../support/all.ts'
import { digestOf } from '../../support/images/image.ts'
import { codeOf, freshBackend, kindOf, type OpenBackend } from './subject.ts'

/** The chunks of a blob as a source gives them. */
async function* chunks(data: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) {
    await Promise.resolve()
    yield data.subarray(at, at + size)
  }
}

async function* broken(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield* chunks(data)
  throw new Error('the line went dead')
}

/** What every content store does; `sha512` where it knows content by other digests than sha256 too (containerd from 2.3). */
export function contentConformance(open: OpenBackend, { sha512 = true } = {}): void {
  describe('content store', () => {
    const backend = freshBackend(open)
    const subject = (): ContentStore => backend().content
    const store = async (data: Uint8Array, labels?: Record<string, string>): Promise<Digest> => {
      const digest = digestOf(data)
      await subject().write({ digest, size: data.length }, chunks(data), labels)
      return digest
    }
    const read = async (digest: Digest, options?: { offset?: number; length?: number }): Promise<Buffer> =>
      Buffer.concat(await all(subject().read(digest, options)))
    const digests = async (): Promise<string[]> => (await all(subject().list())).map((info) => info.digest).sort()

    test.each([1, 999, 1000, 1001, 70_000, 5_000_000])('gives back the %i bytes that were written', async (size) => {
      const data = randomBytes(size)
      const digest = await store(data, { a: 'b', empty: '' })
      expect((await read(digest)).equals(data)).toBe(true)
      const info = await subject().info(digest)
      expect(info).toMatchObject({ digest, size, labels: { a: 'b' } })
      expect(info.labels).not.toHaveProperty('empty')
      expect(Math.abs(info.createdAt.getTime() - Date.now())).toBeLessThan(60_000)
    })

    test('stores an empty blob', async () => {
      const digest = await store(new Uint8Array())
      expect((await subject().info(digest)).size).toBe(0)
      expect(await read(digest)).toHaveLength(0)
    })

    test.runIf(sha512)('stores a blob under a sha512 digest', async () => {
      const data = randomBytes(1234)
      const digest = digestOf(data, 'sha512')
      await subject().write({ digest, size: data.length }, chunks(data))
      expect((await read(digest)).equals(data)).toBe(true)
    })

    test('reads a part: from an offset, to a length, and no further than the end', async () => {
      const data = randomBytes(3_000_000)
      const digest = await store(data)
      const parts = [
        { offset: 0, length: 0 },
        { offset: 0, length: 1 },
        { offset: 1 },
        { offset: 1_048_575, length: 2 },
        { offset: 2_999_999 },
        { offset: 3_000_000 },
        { offset: 2_999_990, length: 100 },
      ]
      for (const { offset, length } of parts) {
        const due = data.subarray(offset, length === undefined ? undefined : offset + length)
        const part = await read(digest, length === undefined ? { offset } : { offset, length })
        expect(part.equals(due), `${offset}+${length}`).toBe(true)
      }
    })

    test('gives chunks that stay as they are while more is read', async () => {
      const data = randomBytes(4_000_000)
      const digest = await store(data)
      const kept: Uint8Array[] = []
      const copies: Uint8Array[] = []
      for await (const chunk of subject().read(digest)) {
        kept.push(chunk)
        copies.push(chunk.slice())
      }
      expect(Buffer.concat(kept).equals(Buffer.concat(copies))).toBe(true)
    })

    test('is done with a blob that is left half read', async () => {
      const digest = await store(randomBytes(5_000_000))
      for await (const chunk of subject().read(digest)) {
        expect(chunk.length).toBeGreaterThan(0)
        break
      }
      await subject().remove(digest)
    })

    test('refuses data with another digest, and keeps none of it', async () => {
      const data = randomBytes(5000)
      const wrong = digestOf('something else')
      expect(await codeOf(subject().write({ digest: wrong, size: 5000 }, chunks(data)))).toBe('DIGEST_MISMATCH')
      expect(await codeOf(subject().info(wrong))).toBe('BLOB_NOT_FOUND')
      expect(await digests()).toEqual([])
    })

    test.each([-1, 1])('refuses data that is longer or shorter than its size says: %i', async (by) => {
      const data = randomBytes(5000)
      const digest = digestOf(data)
      expect(await codeOf(subject().write({ digest, size: 5000 + by }, chunks(data)))).toBe('DIGEST_MISMATCH')
      expect(await digests()).toEqual([])
    })

    test('keeps nothing when the data breaks off, and takes it at the next try', async () => {
      const data = randomBytes(5000)
      const digest = digestOf(data)
      const failed = subject().write({ digest, size: 5001 }, broken(data))
      await expect(failed).rejects.toThrow('the line went dead')
      expect(await digests()).toEqual([])
      await store(data)
      expect(await digests()).toEqual([digest])
    })

    test('takes a blob that is there already as written, with the new labels beside the old', async () => {
      const data = randomBytes(5000)
      await store(data, { old: '1', both: '1' })
      const digest = await store(data, { new: '2', both: '2' })
      expect((await subject().info(digest)).labels).toEqual({ old: '1', new: '2', both: '2' })
      expect(await digests()).toEqual([digest])
    })

    test('replaces a blob, with the new labels beside the old, and not by anything else', async () => {
      const data = randomBytes(5000)
      const digest = await store(data, { old: '1', both: '1' })
      const wrong = subject().replace({ digest, size: 5000 }, chunks(randomBytes(5000)), { wrong: '1' })
      expect(await codeOf(wrong)).toBe('DIGEST_MISMATCH')
      await expect(subject().replace({ digest, size: 5000 }, broken(data.subarray(0, 10)))).rejects.toThrow('went dead')
      expect((await subject().info(digest)).labels).toEqual({ old: '1', both: '1' })
      await subject().replace({ digest, size: 5000 }, chunks(data), { new: '2', both: '2' })
      expect((await subject().info(digest)).labels).toEqual({ old: '1', new: '2', both: '2' })
      expect((await read(digest)).equals(data)).toBe(true)
      expect(await digests()).toEqual([digest])
    })

    test('replaces what is not there as it writes it', async () => {
      const data = randomBytes(5000)
      const digest = digestOf(data)
      await subject().replace({ digest, size: 5000 }, chunks(data), { a: '1' })
      expect((await subject().info(digest)).labels).toEqual({ a: '1' })
      expect((await read(digest)).equals(data)).toBe(true)
    })

    test('lets two write the same blob at once', async () => {
      const data = randomBytes(2_000_000)
      await Promise.all([store(data, { a: '1' }), store(data, { b: '1' }), store(data)])
      const digest = digestOf(data)
      expect((await read(digest)).equals(data)).toBe(true)
      expect((await subject().info(digest)).labels).toEqual({ a: '1', b: '1' })
    })

    test('sets the labels given, removes those given as empty, and leaves the others', async () => {
      const digest = await store(randomBytes(10), { keep: '1', change: '1', drop: '1' })
      const info = await subject().label(digest, { change: '2', drop: '', add: '2' })
      expect(info.labels).toEqual({ keep: '1', change: '2', add: '2' })
      expect((await subject().info(digest)).labels).toEqual(info.labels)
      expect(await codeOf(subject().label(digest, { k: 'x'.repeat(4096) }))).toBe('LABEL_TOO_LARGE')
    })

    test('says BLOB_NOT_FOUND of a blob that is not there, before the first chunk', async () => {
      const absent = digestOf('absent')
      expect(await codeOf(subject().info(absent))).toBe('BLOB_NOT_FOUND')
      expect(await codeOf(all(subject().read(absent)))).toBe('BLOB_NOT_FOUND')
      expect(await codeOf(all(subject().read(absent, { length: 0 })))).toBe('BLOB_NOT_FOUND')
      expect(await codeOf(subject().label(absent, { a: 'b' }))).toBe('BLOB_NOT_FOUND')
      expect(await codeOf(subject().remove(absent))).toBe('BLOB_NOT_FOUND')
    })

    test('lists what is there, and not what was removed', async () => {
      const [one, two] = [await store(randomBytes(10)), await store(randomBytes(10))]
      expect(await digests()).toEqual([one, two].sort())
      await subject().remove(one)
      expect(await digests()).toEqual([two])
      expect(await codeOf(subject().info(one))).toBe('BLOB_NOT_FOUND')
    })

    test('keeps nothing for a lease that is not there', async () => {
      const data = randomBytes(10)
      const digest = digestOf(data)
      const orphan = backend().withLease(`nobody-${randomBytes(4).toString('hex')}`).content
      expect(await kindOf(orphan.write({ digest, size: 10 }, chunks(data)))).toBe('notFound')
      expect(await digests()).toEqual([])
    })
  })
}
