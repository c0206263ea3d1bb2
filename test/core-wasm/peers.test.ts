/** The core reads what node:zlib and other programs write. */
import { spawnSync } from 'node:child_process'
import { constants, createZstdCompress, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { gunzip, unzstd } from '../../core-wasm/core.ts'
import { SAMPLES, concat, cut, decode, prose, same, type Sample } from './suites/support.ts'

const samples = fc.tuple(fc.constantFrom(...(Object.keys(SAMPLES) as Sample[])), fc.integer({ min: 0, max: 400_000 }))
const sizes = fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 4 })

describe('node:zlib', () => {
  test('gzip of any level, strategy and memory level', () => {
    fc.assert(
      fc.property(
        samples,
        fc.integer({ min: 0, max: 9 }),
        fc.constantFrom(constants.Z_DEFAULT_STRATEGY, constants.Z_HUFFMAN_ONLY, constants.Z_RLE, constants.Z_FIXED),
        fc.integer({ min: 1, max: 9 }),
        sizes,
        ([sample, length], level, strategy, memLevel, pieces) => {
          const compressed = gzipSync(SAMPLES[sample](length), { level, strategy, memLevel })
          expect(same(decode(gunzip(), cut(compressed, pieces)), gunzipSync(compressed))).toBe(true)
        },
      ),
      { numRuns: 80 },
    )
  }, 60_000)

  test('zstd of any level, window and block size', () => {
    fc.assert(
      fc.property(
        samples,
        fc.integer({ min: -5, max: 19 }),
        fc.integer({ min: 10, max: 20 }),
        fc.constantFrom(0, 1340, 5000),
        fc.boolean(),
        sizes,
        ([sample, length], level, windowLog, blockSize, checksum, pieces) => {
          const compressed = zstdCompressSync(SAMPLES[sample](length), {
            params: {
              [constants.ZSTD_c_compressionLevel]: level,
              [constants.ZSTD_c_windowLog]: windowLog,
              [constants.ZSTD_c_checksumFlag]: checksum,
              // ZSTD_c_targetCBlockSize, which Node has no name for.
              ...(blockSize > 0 ? { 130: blockSize } : {}),
            },
          })
          expect(same(decode(unzstd(), cut(compressed, pieces)), zstdDecompressSync(compressed))).toBe(true)
        },
      ),
      { numRuns: 80 },
    )
  }, 60_000)

  test('a zstd window that goes round many times, matches reaching to its far end', async () => {
    // What repeats stands one window apart, so that most matches have the longest offset there is.
    for (const windowLog of [10, 14, 17, 18, 20]) {
      const period = prose((1 << windowLog) - 9, windowLog)
      const data = concat(Array.from({ length: Math.ceil(3_000_000 / period.length) }, () => period))
      const compressor = createZstdCompress({
        params: {
          [constants.ZSTD_c_windowLog]: windowLog,
          [constants.ZSTD_c_checksumFlag]: 1,
          [constants.ZSTD_c_compressionLevel]: 12,
        },
      })
      compressor.end(data)
      const parts: Uint8Array[] = []
      for await (const part of compressor) parts.push(part as Uint8Array)
      expect(same(decode(unzstd(), cut(concat(parts), [50_000])), data)).toBe(true)
    }
  })
})

describe('what other programs write', () => {
  const data = concat([prose(900_000), SAMPLES.noise(200_000), SAMPLES.records(500_000), SAMPLES.periodic(700_000)])
  const written = (command: string, options: readonly string[], input = data): Uint8Array | undefined => {
    const { stdout, error, status, stderr } = spawnSync(command, [...options, '-c'], { input, maxBuffer: 2 ** 30 })
    if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined
    if (status !== 0) throw new Error(`${command} failed: ${stderr.toString()}`, { cause: error })
    return stdout
  }

  test.for([
    ['gzip', ['-1']],
    ['gzip', ['-9', '--rsyncable']],
    ['pigz', ['-6']],
    ['pigz', ['-6', '-i', '-b', '128']],
    ['igzip', ['-0']],
    ['igzip', ['-3']],
  ] as const)('%s %j', ([command, options], { skip }) => {
    const compressed = written(command, options)
    if (compressed === undefined) return skip(`${command} is not installed`)
    expect(same(decode(gunzip(), cut(compressed, [131_072])), data)).toBe(true)
  })

  test.for([
    ['zstd', ['-1']],
    ['zstd', ['--fast=9']],
    ['zstd', ['-19']],
    ['zstd', ['--ultra', '-22', '--no-check']],
    ['zstd', ['-3', '--long=27']],
    ['zstd', ['-1', '-T2', '-B524288']],
    ['pzstd', ['-3', '-p', '2', '-q']],
  ] as const)('%s %j', ([command, options], { skip }) => {
    const compressed = written(command, options)
    if (compressed === undefined) return skip(`${command} is not installed`)
    expect(same(decode(unzstd(), cut(compressed, [131_072])), data)).toBe(true)
  })

  test('pigz -11, whose blocks no other program makes', ({ skip }) => {
    const small = prose(60_000)
    const compressed = written('pigz', ['-11'], small)
    if (compressed === undefined) return skip('pigz is not installed')
    expect(same(decode(gunzip(), [compressed]), small)).toBe(true)
  }, 60_000)
})
