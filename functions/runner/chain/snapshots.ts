/** The snapshots of a plan's chain, and how many of them are there. */
import { statOrNone } from '../../node/or-none.ts'
import type { SnapshotInfo, Snapshotter } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'

/** The names of a plan's snapshots, from the base up. */
export function chainIDsOf(plan: Plan): string[] {
  return plan.layers.map((layer) => layer.chainID)
}

/** The snapshots of a plan's layers, from the base up; undefined for each that is not there. */
export async function snapshotsOf(snapshotter: Snapshotter, plan: Plan): Promise<(SnapshotInfo | undefined)[]> {
  return await Promise.all(chainIDsOf(plan).map((chainID) => statOrNone(snapshotter, chainID)))
}

/**
 * Counts the layers of the chain that are there, from the base up. The parents of a committed snapshot are there too, so this is one
 * call for a ready chain, and a binary search for any other.
 *
 * @returns `top`: the highest snapshot that is there
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
