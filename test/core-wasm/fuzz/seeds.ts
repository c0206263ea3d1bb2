/** Streams to mutate, which together make use of all that the formats have. */
import { constants, deflateRawSync, zstdCompressSync } from 'node:zlib'
import { SAMPLES, concat, gzipMember, skippable, type Sample } from '../suites/support.ts'

const LENGTHS = [0, 1, 30, 300, 1500, 6000]

/** What the mutations begin with: deflate streams of every block type, from small to some kilobytes. */
export function deflateSeeds(): Uint8Array[] {
  const seeds: Uint8Array[] = []
  for (const sample of Object.keys(SAMPLES) as Sample[]) {
    for (const length of LENGTHS) {
      const data = SAMPLES[sample](length)
      seeds.push(deflateRawSync(data, { level: 9 }), deflateRawSync(data, { strategy: constants.Z_FIXED }))
      if (length < 2000)
        seeds.push(deflateRawSync(data, { level: 0 }), deflateRawSync(data, { strategy: constants.Z_RLE, memLevel: 1 }))
    }
    // Beyond the sliding window.
    seeds.push(
      deflateRawSync(concat([SAMPLES[sample](3000), new Uint8Array(300_000), SAMPLES.prose(500)]), { level: 9 }),
    )
  }
  return seeds
}

/** gzip with every header field, and several members. */
export function gzipSeeds(): Uint8Array[] {
  const data = SAMPLES.prose(200)
  const members = [
    gzipMember({ data }),
    gzipMember({ data, extra: new Uint8Array(9), name: 'layer.tar', comment: 'x', headerCRC: true }),
    gzipMember({ data: SAMPLES.zeros(5000) }),
    gzipMember({}),
  ]
  return [...members, concat(members), concat([...members, new Uint8Array(40)])]
}

/** zstd of several levels, with and without what may be left out. */
export function zstdSeeds(): Uint8Array[] {
  const seeds: Uint8Array[] = []
  for (const sample of Object.keys(SAMPLES) as Sample[]) {
    for (const length of LENGTHS) {
      for (const [level, checksum, contentSize, blockSize, windowLog] of [
        [1, 1, 1, 0, 0],
        [3, 0, 1, 0, 0],
        [3, 0, 0, 0, 10],
        [19, 0, 0, 1340, 12],
        [-3, 0, 1, 0, 0],
      ] as const) {
        seeds.push(
          zstdCompressSync(SAMPLES[sample](length), {
            params: {
              [constants.ZSTD_c_compressionLevel]: level,
              [constants.ZSTD_c_checksumFlag]: checksum,
              [constants.ZSTD_c_contentSizeFlag]: contentSize,
              ...(windowLog > 0 ? { [constants.ZSTD_c_windowLog]: windowLog } : {}),
              ...(blockSize > 0 ? { 130: blockSize } : {}),
            },
          }),
        )
      }
    }
    const large = concat([SAMPLES[sample](9000), SAMPLES[sample](140_000)])
    const compressed = zstdCompressSync(large, { params: { [constants.ZSTD_c_windowLog]: 10 } })
    if (compressed.length < 20_000) seeds.push(compressed)
  }
  seeds.push(concat([skippable(SAMPLES.noise(20)), seeds[10] ?? new Uint8Array()]))
  return seeds
}
