import { hasCode } from '../../errors.ts'
import type { Backend } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { chainIDsOf, countPresent } from '../chain/snapshots.ts'
import { bottomHalf } from './bottom-half.ts'
import type { LayerContext } from './context.ts'
import { madeOf, unpackLayer } from './layer.ts'
import { unpackInParallel } from './parallel.ts'
import { topHalf } from './top-half.ts'
import type { UnpackedLayer } from './types.ts'

/** How often the chain below may vanish under the run before that is the answer. */
const RESTARTS = 3

/**
 * Makes the layers from `present` up: so many side by side, or each on top of the one before it. Locks are those of
 * `lockOwner`.
 */
export async function unpackLayers(
  context: LayerContext,
  lockOwner: Backend,
  plan: Plan,
  from: { present: number; sideBySide: number },
): Promise<Map<number, UnpackedLayer>> {
  const { snapshotter } = context
  const done = new Map<number, UnpackedLayer>()
  let { present: index, sideBySide } = from
  let restarts = 0
  while (index < plan.layers.length) {
    const layer = plan.layers[index]
    if (layer === undefined) break
    try {
      if (sideBySide > 1) {
        await unpackInParallel(context, lockOwner, plan, { present: index, concurrency: sideBySide, done })
        break
      }
      const placed = { index, layer }
      const made = await unpackLayer(context, lockOwner, placed, async () => {
        const top = await topHalf(context, placed)
        return madeOf(await bottomHalf(context, placed, top), top)
      })
      done.set(index, made)
      index++
    } catch (error) {
      // A layer that was there and that nothing held may be collected before ours stands on it: look again from the top.
      if (!hasCode(error, 'SNAPSHOT_NOT_FOUND') || restarts >= RESTARTS) throw error
      context.emit({
        type: 'retry',
        what: `find the chain below ${layer.chainID}`,
        attempt: ++restarts,
        waitMs: 0,
        error,
      })
      index = (await countPresent(snapshotter, chainIDsOf(plan))).present
      sideBySide = 1
    }
  }
  return done
}
