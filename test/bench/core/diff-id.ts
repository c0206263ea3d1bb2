/** Benchmark: verified diff IDs. */
import { hash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { diffID } from '../../../core-wasm/core.ts'
import type { Input } from '../inputs.ts'
import { rate, row, type Row } from '../report.ts'
import { interleaved } from '../rounds.ts'
import { chunks } from './gunzip.ts'

function check(got: string, { sha256 }: Input): void {
  if (got !== sha256) throw new Error(`the diff ID is ${sha256}, and not ${got}`)
}

/** A verified diff ID: gunzip, its CRC-32, and the SHA-256 of what came out. */
export async function benchDiffID(input: Input, rounds: number): Promise<Row[]> {
  const { length } = input.tar
  const ours = async (thread: boolean): Promise<void> => {
    const { diffID: found } = await diffID(chunks(input.gzip), { format: 'gzip', size: input.gzip.length, thread })
    check(found.slice('sha256:'.length), input)
  }
  const medians = await interleaved(
    [
      { name: 'thread', run: () => ours(true) },
      { name: 'here', run: () => ours(false) },
      {
        name: 'native',
        run: () => check(hash('sha256', gunzipSync(input.gzip, { maxOutputLength: length, chunkSize: length })), input),
      },
    ],
    rounds,
  )
  const of = (name: string): number => medians.get(name) ?? Number.NaN
  const compare = (work: string, name: string, goal: number | null): Row =>
    row(
      `${work}: ${input.name}`,
      'gunzipSync, told the size + crypto.hash',
      of('native') / of(name),
      goal,
      `${rate(length, of(name))}, ${rate(length, of('native'))}`,
    )
  return [compare('verified diff ID', 'thread', 2.1), compare('verified diff ID, on one thread', 'here', null)]
}
