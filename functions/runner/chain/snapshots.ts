import { randomBytes } from 'node:crypto'
import { statOrNone } from '../../node/or-none.ts'
import type { SnapshotInfo, Snapshotter } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'

/** A key for an active snapshot, spelt as containerd's own unpacker spells it: containerd/FACTS.md section 2, step 4. */
export function extractKey(chainID: string): string {
  const nanoseconds = (Date.now() % 1000) * 1_000_000 + Number(process.hrtime.bigint() % 1_000_000n)
  return `extract-${nanoseconds}-${randomBytes(3).toString('base64url')} ${chainID}`
}

/** The names of a plan's snapshots, from the base up. */
export function chainIDsOf(plan: Plan): string[] {
  return plan.layers.map((layer) => layer.chainID)
}

/**
 * How many layers of the chain are there, from the base up. A committed snapshot's parents are there too, so one call
 * answers for a ready chain, and a few for any other.
 */
export async function countPresent(
  snapshotter: Snapshotter,
  chainIDs: readonly string[],
): Promise<{ present: number; top: SnapshotInfo | undefined }> {
  const isThere = async (index: number) => {
    const info = await statOrNone(snapshotter, chainIDs[index] ?? '')
    return info?.kind === 'committed' ? info : undefined
  }
  let top = await isThere(chainIDs.length - 1)
  if (top) return { present: chainIDs.length, top }
  let low = 0
  let high = chainIDs.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    const found = await isThere(middle)
    if (found) {
      top = found
      low = middle + 1
    } else high = middle
  }
  return { present: low, top }
}
