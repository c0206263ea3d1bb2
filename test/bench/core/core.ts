/** All benchmarks of the core. */
import { inputs } from '../inputs.ts'
import type { Row } from '../report.ts'
import { benchCold } from './cold.ts'
import { benchDiffID } from './diff-id.ts'
import { benchGunzip } from './gunzip.ts'
import { benchChainIDs, benchLanes, benchSha256 } from './hash.ts'
import { benchWorkerd } from './workerd/workerd.ts'
import { benchZstd } from './zstd.ts'

/** The core beside its peers, over inputs made from this machine's own files. */
export async function benchCore(rounds: number): Promise<Row[]> {
  const all = inputs()
  const rows: Row[] = []
  for (const input of all) rows.push(...(await benchGunzip(input, rounds)))
  for (const input of all) rows.push(...(await benchZstd(input, rounds)))
  const [first] = all
  if (first) rows.push(...(await benchSha256(first, rounds)), ...(await benchLanes(first, rounds)))
  rows.push(...(await benchChainIDs(rounds)))
  for (const input of all) rows.push(...(await benchDiffID(input, rounds)))
  rows.push(...(await benchWorkerd(all, rounds)))
  rows.push(...(await benchCold(rounds)))
  return rows
}
