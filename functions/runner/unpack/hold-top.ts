import { hasCode } from '../../errors.ts'
import { asAborted } from '../../kit/abort.ts'
import { removeIfThere, statOrNone } from '../../node/or-none.ts'
import type { Plan } from '../../plan/document.ts'
import { extractKey } from '../chain/snapshots.ts'
import type { LayerContext } from './context.ts'
import { discard } from './top.ts'

/**
 * Puts a chain that is there, but that nothing may refer to, under the run's lease until its gc label is written:
 * containerd answers AlreadyExists to a Prepare whose snapshot.ref it knows, and adds that snapshot to the lease. False
 * where the collector was faster.
 */
export async function holdTop(context: LayerContext, plan: Plan): Promise<boolean> {
  const { snapshotter, signal } = context
  const layer = plan.layers.at(-1)
  if (layer === undefined) return true
  const key = extractKey(layer.chainID)
  try {
    await snapshotter.prepare(key, layer.parent, { ...layer.labels })
  } catch (error) {
    if (hasCode(error, 'ALREADY_EXISTS')) return (await statOrNone(snapshotter, layer.chainID)) !== undefined
    if (hasCode(error, 'SNAPSHOT_NOT_FOUND')) return false
    throw await discard(context, key, asAborted(error, signal))
  }
  await removeIfThere(snapshotter, key)
  return false
}
