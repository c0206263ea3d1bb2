/** Benchmark: zstd decoding. */
import { zstdDecompressSync } from 'node:zlib'
import { decompress, init } from '@bokuweb/zstd-wasm'
import { Decompress } from 'fzstd'
import { ZSTDDecoder } from 'zstddec'
import { unzstd } from '../../../core-wasm/core.ts'
import type { Input } from '../inputs.ts'
import { rate, row, type Row } from '../report.ts'
import { interleaved } from '../rounds.ts'
import { versioned } from '../versions.ts'
import { chunks } from './gunzip.ts'

function check(name: string, got: number, { tar }: Input): void {
  if (got !== tar.length) throw new Error(`${name} gave ${got} bytes of ${tar.length}`)
}

function ours(input: Input): void {
  const decoder = unzstd()
  let total = 0
  try {
    for (const chunk of chunks(input.zstd)) for (const view of decoder.write(chunk)) total += view.length
    for (const view of decoder.end()) total += view.length
  } finally {
    decoder.free()
  }
  check('layercast', total, input)
}

function withFzstd(input: Input): void {
  let total = 0
  const decoder = new Decompress((data) => {
    total += data.length
  })
  for (const chunk of chunks(input.zstd)) decoder.push(chunk)
  decoder.push(new Uint8Array(0), true)
  check('fzstd', total, input)
}

const zstddec = new ZSTDDecoder()
/** Once: another init() of @bokuweb/zstd-wasm spoils the first. */
let ready: Promise<unknown> | undefined

/** zstd, streaming, checksum verified (fzstd does not verify it; the WebAssembly packages take and give the whole at once). */
export async function benchZstd(input: Input, rounds: number): Promise<Row[]> {
  const { length } = input.tar
  ready ??= Promise.all([zstddec.init(), init()])
  await ready
  const medians = await interleaved(
    [
      { name: 'layercast', run: () => ours(input) },
      {
        name: 'zstdDecompressSync, told the size',
        run: () =>
          check('node', zstdDecompressSync(input.zstd, { maxOutputLength: length, chunkSize: length }).length, input),
      },
      { name: versioned('fzstd'), run: () => withFzstd(input) },
      {
        name: versioned('zstddec'),
        run: () => check('zstddec', zstddec.decode(input.zstd, length).length, input),
      },
      {
        name: versioned('@bokuweb/zstd-wasm'),
        run: () => check('@bokuweb/zstd-wasm', decompress(Buffer.from(input.zstd)).length, input),
      },
    ],
    rounds,
  )
  const own = medians.get('layercast') ?? Number.NaN
  const goals: Record<string, number> = {
    'zstdDecompressSync, told the size': 1.4,
    [versioned('fzstd')]: 4,
    [versioned('zstddec')]: 1.5,
    [versioned('@bokuweb/zstd-wasm')]: 1.5,
  }
  return Object.entries(goals).map(([name, goal]) => {
    const theirs = medians.get(name) ?? Number.NaN
    return row(`zstd: ${input.name}`, name, theirs / own, goal, `${rate(length, own)}, ${rate(length, theirs)}`)
  })
}
