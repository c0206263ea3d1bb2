import { hasCode } from '../../image/errors.ts'
import type { Plan } from '../../plan/document.ts'
import type { Backend } from '../ports.ts'
import type { BlobOrigin } from '../supply/types.ts'
import { bottomHalf } from './bottom.ts'
import { withChainLock } from './chain-lock.ts'
import { tell, type LayerContext, type Placed } from './context.ts'
import { retry } from './retry.ts'
import { chainIDsOf, countPresent, statOrNone } from './snapshots.ts'
import { topHalf } from './top.ts'
import type { LayerState, UnpackedLayer } from './types.ts'

/** How often the chain below may vanish under the run before that is the answer. */
const RESTARTS = 3

/**
 * Makes the layers from `present` up, each on top of the one before it. (Where a snapshotter can rebase, layers may one
 * day be prepared side by side: the halves know nothing of order, only this loop does.) Locks are those of `lockOwner`.
 */
export async function unpackLayers(
  context: LayerContext,
  lockOwner: Backend,
  plan: Plan,
  present: number,
): Promise<Map<number, UnpackedLayer>> {
  const { snapshotter } = context
  const done = new Map<number, UnpackedLayer>()
  let restarts = 0
  let index = present
  while (index < plan.layers.length) {
    const layer = plan.layers[index]
    if (layer === undefined) break
    try {
      done.set(index, await unpackLayer(context, lockOwner, { index, layer }))
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
    }
  }
  return done
}

async function unpackLayer(context: LayerContext, lockOwner: Backend, placed: Placed): Promise<UnpackedLayer> {
  const { snapshotter, signal, emit } = context
  const { index, layer } = placed
  const started = performance.now()
  const finished = (state: LayerState, bytes: number, blob?: BlobOrigin): UnpackedLayer => {
    tell(context, placed, 'done', state)
    const { digest } = layer.descriptor
    const ms = performance.now() - started
    return { index, digest, chainID: layer.chainID, state, ms, bytes, ...(blob === undefined ? {} : { blob }) }
  }
  return await withChainLock(lockOwner, snapshotter.name, layer.chainID, signal, async (waited) => {
    if (waited && (await statOrNone(snapshotter, layer.chainID))) return finished('taken', 0)
    const [state, bytes, blob] = await retry(
      async () => {
        const top = await topHalf(context, placed)
        const came = await bottomHalf(context, placed, top)
        return came === 'applied' && top.state === 'applied'
          ? ([came, top.bytes, top.supplied.origin] as const)
          : ([came, 0] as const)
      },
      { what: `unpack layer ${layer.descriptor.digest}`, signal, emit },
    )
    return finished(state, bytes, blob)
  })
}
