/** Tests of `decompress` and `diffID`, for Node and for workerd. */
import { sha256 as noble } from '@noble/hashes/sha2.js'
import { gzipSync } from 'fflate'
import { describe, expect, test } from 'vitest'
import { CoreError, decompress, diffID, gunzip } from '../../../core-wasm/core.ts'
import { bytes, concat, cut, decode, gzipMember, hex, prose, same, zstdBlock, zstdFrame } from './support.ts'

const BLOCK = 0x20000
const text = prose(16 * BLOCK)
const gzip = gzipSync(text)
/** Stored blocks: what there is to check is their order and their number. */
const zstd = zstdFrame({
  // No single segment, no content size; a window of 128 KB: none has less room for views that are kept.
  header: bytes(0, 0x38),
  blocks: concat(
    Array.from({ length: 16 }, (_, i) => zstdBlock(0, BLOCK, text.subarray(i * BLOCK, (i + 1) * BLOCK), i === 15)),
  ),
})
const digest = `sha256:${hex(noble(text))}`

async function code(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof CoreError) return error.code
    throw error
  }
  return 'none'
}

async function* later(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    await Promise.resolve()
    yield piece
  }
}

/** Runs in Node, on this thread and on another, and in workerd, where asking for another thread gives this one. */
export function diffIDSuite(): void {
  describe.each([false, true])('another thread allowed: %s', (thread) => {
    test.each([
      ['gzip', gzip],
      ['zstd', zstd],
    ] as const)('the diff ID of %s, in pieces of every size, from iterables of both kinds', async (format, blob) => {
      for (const size of [997, 0x10000, 0x30001, blob.length]) {
        const expected = { diffID: digest, size: text.length }
        expect(await diffID(cut(blob, [size]), { format, thread })).toEqual(expected)
        expect(await diffID(later(cut(blob, [size])), { format, thread })).toEqual(expected)
      }
    })

    test('the views are the bytes, in their order, each good until the next is asked for', async () => {
      let at = 0
      for await (const view of decompress([gzip], { format: 'gzip', thread })) {
        expect(same(view, text.subarray(at, at + view.length))).toBe(true)
        at += view.length
      }
      expect(at).toBe(text.length)
    })

    test.each([
      ['gzip', gzip],
      ['zstd', zstd],
    ] as const)('the views of %s stay as they are for who is slow to take them', async (format, blob) => {
      let at = 0
      for await (const view of decompress([blob], { format, thread })) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        expect(same(view, text.subarray(at, at + view.length))).toBe(true)
        at += view.length
      }
      expect(at).toBe(text.length)
    })

    test('a window of 128 MiB fits, and the next stream is none the worse for it', async () => {
      const data = text.subarray(0, 3)
      const wide = zstdFrame({ header: bytes(0, 17 << 3), blocks: zstdBlock(0, 3, data, true) })
      expect(await diffID([wide], { format: 'zstd', thread })).toEqual({
        diffID: `sha256:${hex(noble(data))}`,
        size: 3,
      })
      expect((await diffID([gzip], { format: 'gzip', thread })).diffID).toBe(digest)
    })

    test('nothing at all is an empty stream that ends too early', async () => {
      expect(await code(diffID([], { format: 'gzip', thread }))).toBe('GZIP_TRUNCATED')
      expect(await code(diffID([new Uint8Array()], { format: 'zstd', thread }))).toBe('ZSTD_TRUNCATED')
    })

    test('what is wrong with the data is told by its code', async () => {
      const wrong = Uint8Array.from(gzip)
      wrong[wrong.length - 8] = (wrong[wrong.length - 8] ?? 0) ^ 1
      expect(await code(diffID([wrong], { format: 'gzip', thread }))).toBe('GZIP_CRC')
      expect(await code(diffID([gzip.subarray(0, 5000)], { format: 'gzip', thread }))).toBe('GZIP_TRUNCATED')
      expect(await code(diffID([gzip], { format: 'zstd', thread }))).toBe('ZSTD_MAGIC')
      expect(await code(diffID([concat([gzip, gzip.subarray(5)])], { format: 'gzip', thread }))).toBe(
        'GZIP_TRAILING_GARBAGE',
      )
    })

    test('a bomb ends at the limit, and the error says which', async () => {
      const bomb = gzipSync(new Uint8Array(50_000_000))
      await expect(diffID([bomb], { format: 'gzip', thread, limit: 1_000_000 })).rejects.toThrow(/1000000 bytes/)
      expect(await code(diffID([bomb], { format: 'gzip', thread, limit: 1_000_000 }))).toBe('OUTPUT_LIMIT')
    })

    test('an error of the source is thrown as it is, and the source is told to stop when nobody wants the rest', async () => {
      const failure = new Error('the socket closed')
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield gzip.subarray(0, 100)
        throw await Promise.resolve(failure)
      }
      await expect(diffID(broken(), { format: 'gzip', thread })).rejects.toBe(failure)

      let stopped = false
      function* source(): Generator<Uint8Array> {
        try {
          yield* cut(gzip, [1000])
        } finally {
          stopped = true
        }
      }
      for await (const view of decompress(source(), { format: 'gzip', thread })) {
        expect(view.length).toBeGreaterThan(0)
        break
      }
      expect(stopped).toBe(true)
    })

    test('many at once do not meet', async () => {
      const texts = Array.from({ length: 6 }, (_, i) => prose(300_000 + i, i + 2))
      const found = await Promise.all(
        texts.map((data) => diffID(cut(gzipMember({ data }), [5000]), { format: 'gzip', thread })),
      )
      expect(found).toEqual(texts.map((data) => ({ diffID: `sha256:${hex(noble(data))}`, size: data.length })))
    })
  })

  test('it is the diff ID of what the decoder gives', async () => {
    expect((await diffID([gzip], { format: 'gzip' })).diffID).toBe(`sha256:${hex(noble(decode(gunzip(), [gzip])))}`)
  })
}
