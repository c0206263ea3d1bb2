/** The second half of a layer: Commit, and the label of the blob. */
import { hasCode } from '../../errors.ts'
import { UNCOMPRESSED_LABEL } from '../../image/label-names.ts'
import { asAborted, checkAborted } from '../../kit/abort.ts'
import { removeIfThere } from '../../node/or-none.ts'
import type { Placed } from '../blobs/placed.ts'
import { discard, tell, type LayerContext, type TopHalf } from './context.ts'
import type { LayerState } from './types.ts'

/**
 * containerd/FACTS.md section 2, steps 6 and 7: Commit, with the labels again, because they replace those of Prepare; then the
 * blob's label, on the blob that was applied. Where somebody else has committed the layer first, it is done too. After a
 * failure the active snapshot is removed. ABORTED, and errors of the backend.
 *
 * @param parent what the layer is put onto at Commit, where it was prepared without a parent
 */
export async function bottomHalf(
  context: LayerContext,
  placed: Placed,
  top: TopHalf,
  parent?: string,
): Promise<LayerState> {
  if (top.state === 'taken') return 'taken'
  const { layer } = placed
  tell(context, placed, 'committing')
  const first = await commitLayer(context, placed, top.key, parent)
  tell(context, placed, 'committed')
  if (!first) return 'taken'
  if (top.state !== 'applied') return top.state
  const { blob, origin } = top.fetched
  if (origin.from !== 'snapshotter') {
    await context.backend.content.label(blob.digest, { [UNCOMPRESSED_LABEL]: layer.diffID })
    tell(context, placed, 'labelled')
  } else if (!top.proven) {
    const detail = `layer ${layer.descriptor.digest} was made again out of ${origin.name}: its diff ID cannot be checked`
    context.emit({ type: 'warning', code: 'DIFF_ID_UNCHECKED', detail })
  }
  return top.state
}

/** Whether this run committed the layer, and not somebody else. */
async function commitLayer(
  context: LayerContext,
  { layer }: Placed,
  key: string,
  parent: string | undefined,
): Promise<boolean> {
  const { snapshotter, signal } = context
  try {
    checkAborted(signal)
    await snapshotter.commit(layer.chainID, key, { ...layer.labels }, parent === undefined ? {} : { parent })
    return true
  } catch (error) {
    if (!hasCode(error, 'ALREADY_EXISTS')) throw await discard(context, key, asAborted(error, signal))
  }
  await removeIfThere(snapshotter, key)
  return false
}
