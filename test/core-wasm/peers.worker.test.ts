/** The core beside what workerd has natively. */
import fc from 'fast-check'
import { gzipSync } from 'fflate'
import { expect, test } from 'vitest'
import { gunzip, sha256 } from '../../core-wasm/core.ts'
import { SAMPLES, cut, decode, hex, same, type Sample } from './suites/support.ts'

async function through(
  transform: ReadableWritablePair<Uint8Array, BufferSource>,
  data: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array> {
  return new Uint8Array(await new Response(new Blob([data]).stream().pipeThrough(transform)).arrayBuffer())
}

const samples = fc.tuple(fc.constantFrom(...(Object.keys(SAMPLES) as Sample[])), fc.integer({ min: 0, max: 200_000 }))

test('gzip as the DecompressionStream of workerd', async () => {
  await fc.assert(
    fc.asyncProperty(
      samples,
      fc.constantFrom(0, 1, 6, 9),
      fc.integer({ min: 1, max: 50_000 }),
      async ([sample, length], level, size) => {
        const compressed = gzipSync(SAMPLES[sample](length), { level: level as 6 })
        const theirs = await through(new DecompressionStream('gzip'), compressed as Uint8Array<ArrayBuffer>)
        expect(same(decode(gunzip(), cut(compressed, [size])), theirs)).toBe(true)
      },
    ),
    { numRuns: 30 },
  )
})

test('gzip from the CompressionStream of workerd', async () => {
  for (const sample of Object.values(SAMPLES)) {
    const data = sample(150_000)
    const compressed = await through(new CompressionStream('gzip'), data)
    expect(same(decode(gunzip(), [compressed]), data)).toBe(true)
  }
})

test('SHA-256 as Web Crypto', async () => {
  for (const length of [0, 55, 56, 64, 300_000]) {
    const data = SAMPLES.noise(length)
    expect(hex(sha256(data))).toBe(hex(new Uint8Array(await crypto.subtle.digest('SHA-256', data))))
  }
})
