/** Mutates seeds, and has each input judged. */
import { generator } from '../suites/support.ts'
import { judgeDeflate, judgeGzip, judgeZstd, type Judgement } from './judge.ts'
import { mutate } from './mutate.ts'
import { deflateSeeds, gzipSeeds, zstdSeeds } from './seeds.ts'

const KINDS = [
  { name: 'deflate', seeds: deflateSeeds, judge: judgeDeflate },
  { name: 'gzip', seeds: gzipSeeds, judge: judgeGzip },
  { name: 'zstd', seeds: zstdSeeds, judge: judgeZstd },
] as const

export interface Tally {
  inputs: number
  /** Per kind, how often each judgement was given. */
  counts: Record<string, Record<string, number>>
  wrong: { kind: string; seed: number; why: string; input: string }[]
  /** The longest that one input took, both decoders together. */
  slowest: { milliseconds: number; kind: string; seed: number }
}

/**
 * Judges `inputs` mutated inputs, or as many as fit before `deadline` (a time of Date.now). Input number n depends only on
 * its seed, `firstSeed + n`, so any of them can be had again.
 */
export async function fuzz(options: {
  firstSeed: number
  inputs: number
  deadline?: number
  onProgress?: (tally: Tally) => void
}): Promise<Tally> {
  const kinds = KINDS.map(({ name, seeds, judge }) => ({ name, judge, seeds: seeds() }))
  const tally: Tally = { inputs: 0, counts: {}, wrong: [], slowest: { milliseconds: 0, kind: '', seed: 0 } }
  for (const { name } of kinds) tally.counts[name] = {}
  for (let seed = options.firstSeed; tally.inputs < options.inputs; seed++) {
    if (tally.inputs % 1000 === 0) {
      if (options.deadline !== undefined && Date.now() >= options.deadline) break
      options.onProgress?.(tally)
      // node:zlib frees what a refused input took at its next turn of the event loop.
      await new Promise(setImmediate)
    }
    const next = generator(seed)
    next()
    const kind = kinds[next() % kinds.length]!
    const input = mutate(kind.seeds[next() % kind.seeds.length]!, kind.seeds[next() % kind.seeds.length]!, next)
    const started = performance.now()
    const judgement: Judgement = kind.judge(input, next)
    const milliseconds = performance.now() - started
    if (milliseconds > tally.slowest.milliseconds) tally.slowest = { milliseconds, kind: kind.name, seed }
    tally.inputs++
    const counts = tally.counts[kind.name]!
    const key = 'alike' in judgement ? judgement.alike : 'differs' in judgement ? judgement.differs : 'wrong'
    counts[key] = (counts[key] ?? 0) + 1
    if ('wrong' in judgement && tally.wrong.length < 50) {
      tally.wrong.push({
        kind: kind.name,
        seed,
        why: judgement.wrong,
        input: Buffer.from(input).toString('base64').slice(0, 4000),
      })
    }
  }
  return tally
}
