/** A short run of the fuzzer. */
import { expect, test } from 'vitest'
import { fuzz } from './fuzz/run.ts'

test('mutated gzip and zstd get the verdict of node:zlib, and the same bytes', async () => {
  const { wrong, counts } = await fuzz({ firstSeed: 1, inputs: 30_000 })
  expect(wrong).toEqual([])
  // Mutations that only ever break an input would show nothing of what comes out of one.
  for (const kind of ['deflate', 'gzip', 'zstd']) {
    expect(counts[kind]?.['accepted']).toBeGreaterThan(500)
    expect(counts[kind]?.['refused']).toBeGreaterThan(500)
  }
}, 120_000)
