/** Makes one layer, whichever way: alone in this process for its chain ID, and again after failures that pass. */
import { retry } from '../../kit/retry.ts'
import { statOrNone } from '../../node/or-none.ts'
import type { BlobOrigin } from '../blobs/origin.ts'
import type { Placed } from '../blobs/placed.ts'
import { withChainLock } from './chain-lock.ts'
import { tell, type LayerContext, type TopHalf } from './context.ts'
import type { LayerState, UnpackedLayer } from './types.ts'

/** What became of a layer. */
export interface MadeLayer {
  state: LayerState
  /** Of the uncompressed archive that was written. */
  bytes: number
  /** What it was written from. */
  blob?: BlobOrigin
}

/** What became of a layer whose bottom half ended in this state. */
export function madeOf(state: LayerState, top: TopHalf): MadeLayer {
  return state === 'applied' && top.state === 'applied'
    ? { state, bytes: top.bytes, blob: top.fetched.origin }
    : { state, bytes: 0 }
}

/** Runs `make` for one layer, unless another unpack of this process made the layer in the meantime. Errors of `make`, ABORTED. */
export async function unpackLayer(
  context: LayerContext,
  placed: Placed,
  make: () => Promise<MadeLayer>,
): Promise<UnpackedLayer> {
  const { unleased, snapshotter, signal, emit } = context
  const { index, layer } = placed
  const { chainID } = layer
  const { digest } = layer.descriptor
  const started = performance.now()
  return await withChainLock(unleased, snapshotter.name, chainID, signal, async (waited) => {
    const made: MadeLayer =
      waited && (await statOrNone(snapshotter, chainID))
        ? { state: 'taken', bytes: 0 }
        : await retry(make, { what: `unpack layer ${digest}`, signal, emit })
    tell(context, placed, 'done', made.state)
    return { index, digest, chainID, ms: performance.now() - started, ...made }
  })
}
