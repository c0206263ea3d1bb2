/** Makes the missing layers of a chain: in parallel, or one after the other. */
import { hasCode } from '../../errors.ts'
import type { Plan } from '../../plan/document.ts'
import { chainIDsOf, countPresent } from '../chain/snapshots.ts'
import { bottomHalf } from './bottom-half.ts'
import type { LayerContext } from './context.ts'
import { madeOf, unpackLayer } from './layer.ts'
import { unpackInParallel } from './parallel.ts'
import { topHalf } from './top-half.ts'
import type { UnpackedLayer } from './types.ts'

/** How often the chain below may vanish under the run before the run fails. */
const RESTARTS = 3

/**
 * Makes the layers from index `present` up, `atOnce` of them in parallel; with 1, each on top of the one before it. Gives the
 * layers that it made, by index. Errors of the halves of a layer.
 */
export async function unpackLayers(
  context: LayerContext,
  plan: Plan,
  from: { present: number; atOnce: number },
): Promise<Map<number, UnpackedLayer>> {
  const { snapshotter } = context
  const done = new Map<number, UnpackedLayer>()
  let { present: index, atOnce } = from
  let restarts = 0
  while (index < plan.layers.length) {
    const layer = plan.layers[index]
    if (layer === undefined) break
    try {
      if (atOnce > 1) {
        await unpackInParallel(context, plan, { present: index, concurrency: atOnce, done })
        break
      }
      const placed = { index, layer }
      const made = await unpackLayer(context, placed, async () => {
        const top = await topHalf(context, placed)
        return madeOf(await bottomHalf(context, placed, top), top)
      })
      done.set(index, made)
      index++
    } catch (error) {
      // The collector may take a layer that nothing holds before the next one stands on it. Then look again what is there.
      if (!hasCode(error, 'SNAPSHOT_NOT_FOUND') || restarts >= RESTARTS) throw error
      const what = `find the chain below ${layer.chainID}`
      context.emit({ type: 'retry', what, attempt: ++restarts, waitMs: 0, error })
      index = (await countPresent(snapshotter, chainIDsOf(plan))).present
      atOnce = 1
    }
  }
  return done
}
