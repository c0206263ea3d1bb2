/** Benchmark: SHA-256 and chain IDs. */
import { createHash, hash } from 'node:crypto'
import { sha256 as noble } from '@noble/hashes/sha2.js'
import { createSHA256 } from 'hash-wasm'
import { chainIDs, Sha256, sha256Each } from '../../../core-wasm/core.ts'
import type { Input } from '../inputs.ts'
import { rate, row, type Row } from '../report.ts'
import { interleaved } from '../rounds.ts'
import { versioned } from '../versions.ts'
import { chunks } from './gunzip.ts'

function same(got: string, expected: string): void {
  if (got !== expected) throw new Error(`hashed to ${got}, and it is ${expected}`)
}

function ours(input: Input, engine: 'wasm' | 'native'): void {
  const stream = new Sha256({ engine })
  for (const chunk of chunks(input.tar, 0x40000)) stream.update(chunk)
  same(Buffer.from(stream.digest()).toString('hex'), input.sha256)
}

/** SHA-256 of one stream. */
export async function benchSha256(input: Input, rounds: number): Promise<Row[]> {
  const wasm = await createSHA256()
  const { length } = input.tar
  const medians = await interleaved(
    [
      { name: 'wasm', run: () => ours(input, 'wasm') },
      { name: 'door', run: () => ours(input, 'native') },
      {
        name: 'hash-wasm',
        run: () => {
          wasm.init()
          for (const chunk of chunks(input.tar, 0x40000)) wasm.update(chunk)
          same(wasm.digest('hex'), input.sha256)
        },
      },
      { name: 'noble', run: () => same(Buffer.from(noble(input.tar)).toString('hex'), input.sha256) },
      {
        name: 'crypto',
        run: () => {
          const stream = createHash('sha256')
          for (const chunk of chunks(input.tar, 0x40000)) stream.update(chunk)
          same(stream.digest('hex'), input.sha256)
        },
      },
    ],
    rounds,
  )
  const of = (name: string) => medians.get(name) ?? Number.NaN
  const compare = (work: string, own: string, peer: string, against: string, goal: number | null) =>
    row(work, against, of(peer) / of(own), goal, `${rate(length, of(own))}, ${rate(length, of(peer))}`)
  return [
    compare('SHA-256, one stream, in WASM', 'wasm', 'hash-wasm', versioned('hash-wasm'), 1.6),
    compare('SHA-256, one stream, in WASM', 'wasm', 'noble', versioned('@noble/hashes'), null),
    compare('SHA-256, one stream, in WASM', 'wasm', 'crypto', 'node:crypto', null),
    compare('SHA-256, one stream, by the door in Node', 'door', 'crypto', 'node:crypto', null),
  ]
}

/** SHA-256 of four messages at once. */
export async function benchLanes(input: Input, rounds: number): Promise<Row[]> {
  const quarter = Math.floor(input.tar.length / 4)
  const messages = Array.from({ length: 4 }, (_, i) => input.tar.subarray(i * quarter, (i + 1) * quarter))
  const expected = messages.map((message) => hash('sha256', message)).join()
  const medians = await interleaved(
    [
      {
        name: 'ours',
        run: () =>
          same(
            sha256Each(messages, { engine: 'wasm' })
              .map((digest) => Buffer.from(digest).toString('hex'))
              .join(),
            expected,
          ),
      },
      { name: 'crypto', run: () => same(messages.map((message) => hash('sha256', message)).join(), expected) },
    ],
    rounds,
  )
  const own = medians.get('ours') ?? Number.NaN
  const theirs = medians.get('crypto') ?? Number.NaN
  const figures = `${rate(quarter * 4, own)}, ${rate(quarter * 4, theirs)}`
  return [row('SHA-256, four lanes, in WASM', 'node:crypto', theirs / own, 0.55, figures)]
}

function images(count: number, layers: number): string[][] {
  return Array.from({ length: count }, (_, image) =>
    Array.from({ length: layers }, (__, layer) => `sha256:${hash('sha256', `${image}/${layer}`)}`),
  )
}

function byCrypto(chains: readonly (readonly string[])[]): string[][] {
  return chains.map((chain) => {
    const result: string[] = []
    for (const digest of chain) {
      const below = result.at(-1)
      result.push(below === undefined ? digest : `sha256:${hash('sha256', `${below} ${digest}`)}`)
    }
    return result
  })
}

async function benchChains(
  work: string,
  chains: string[][],
  repeat: number,
  goal: number,
  rounds: number,
): Promise<Row[]> {
  const expected = JSON.stringify(byCrypto(chains))
  if (JSON.stringify(chainIDs(chains)) !== expected) throw new Error('the chain IDs differ')
  const times = (run: () => unknown) => () => {
    for (let i = 0; i < repeat; i++) run()
  }
  const medians = await interleaved(
    [
      { name: 'ours', run: times(() => chainIDs(chains)) },
      { name: 'crypto', run: times(() => byCrypto(chains)) },
    ],
    rounds,
  )
  const ms = (name: string) => (medians.get(name) ?? Number.NaN) / repeat
  const figures = `${(ms('ours') * 1000).toFixed(0)} µs, ${(ms('crypto') * 1000).toFixed(0)} µs`
  return [row(work, 'crypto.hash', ms('crypto') / ms('ours'), goal, figures)]
}

/** Chain IDs, text in and out. */
export async function benchChainIDs(rounds: number): Promise<Row[]> {
  return [
    ...(await benchChains('chain IDs, 1,000 images of 100 layers', images(1000, 100), 1, 1.8, rounds * 3)),
    ...(await benchChains('chain IDs, one image of 12 layers', images(1, 12), 2000, 1, rounds * 3)),
  ]
}
