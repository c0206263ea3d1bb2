/** Benchmark: gzip decoding. */
import { createGunzip, gunzipSync } from 'node:zlib'
import { Gunzip } from 'fflate'
import { Inflate } from 'pako'
import { gunzip } from '../../../core-wasm/core.ts'
import type { Input } from '../inputs.ts'
import { row, rate, type Row } from '../report.ts'
import { interleaved, type Contestant } from '../rounds.ts'
import { versioned } from '../versions.ts'

/** As a blob is read from a socket or a file. */
const CHUNK = 0x10000

export function* chunks(bytes: Uint8Array, size = CHUNK): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

function check(name: string, got: number, { tar }: Input): void {
  if (got !== tar.length) throw new Error(`${name} gave ${got} bytes of ${tar.length}`)
}

function ours(input: Input): void {
  const decoder = gunzip()
  let total = 0
  try {
    for (const chunk of chunks(input.gzip)) for (const view of decoder.write(chunk)) total += view.length
    for (const view of decoder.end()) total += view.length
  } finally {
    decoder.free()
  }
  check('layercast', total, input)
}

async function stream(input: Input): Promise<void> {
  const gunzipper = createGunzip({ chunkSize: 0x20000 })
  let total = 0
  gunzipper.on('data', (data: Buffer) => {
    total += data.length
  })
  const ended = new Promise((resolve, reject) => gunzipper.once('end', resolve).once('error', reject))
  gunzipper.end(input.gzip)
  await ended
  check('createGunzip', total, input)
}

function withFflate(input: Input): void {
  let total = 0
  const decoder = new Gunzip((data) => {
    total += data.length
  })
  for (const chunk of chunks(input.gzip)) decoder.push(chunk)
  decoder.push(new Uint8Array(0), true)
  check('fflate', total, input)
}

function withPako(input: Input): void {
  let total = 0
  const decoder = new Inflate({ chunkSize: 0x20000 })
  decoder.onData = (data) => {
    total += data.length
  }
  decoder.onEnd = () => undefined
  for (const chunk of chunks(input.gzip)) decoder.push(chunk, false)
  check('pako', total, input)
}

/** gunzip, streaming, CRC-32 checked, in bounded memory. */
export async function benchGunzip(input: Input, rounds: number): Promise<Row[]> {
  const { length } = input.tar
  const contestants: Contestant[] = [
    { name: 'layercast', run: () => ours(input) },
    {
      name: 'gunzipSync, told the size',
      run: () =>
        check('gunzipSync', gunzipSync(input.gzip, { maxOutputLength: length, chunkSize: length }).length, input),
    },
    { name: 'createGunzip', run: () => stream(input) },
    { name: versioned('fflate'), run: () => withFflate(input) },
    { name: versioned('pako'), run: () => withPako(input) },
  ]
  const medians = await interleaved(contestants, rounds)
  const own = medians.get('layercast') ?? Number.NaN
  const goals: Record<string, number> = {
    'gunzipSync, told the size': 1.8,
    createGunzip: 1.8,
    [versioned('fflate')]: 5,
    [versioned('pako')]: 5,
  }
  return Object.entries(goals).map(([name, goal]) => {
    const theirs = medians.get(name) ?? Number.NaN
    return row(`gunzip: ${input.name}`, name, theirs / own, goal, `${rate(length, own)}, ${rate(length, theirs)}`)
  })
}
