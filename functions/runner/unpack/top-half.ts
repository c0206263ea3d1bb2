/** The first half of a layer: an active snapshot with the layer's content in it. */
import { hasCode, LayercastError } from '../../errors.ts'
import { SUSPECT_FIX } from '../../image/blob-fixes.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { UNCOMPRESSED_LABEL } from '../../image/label-names.ts'
import { asAborted, checkAborted } from '../../kit/abort.ts'
import type { Applied } from '../../layer/apply/types.ts'
import type { Mount } from '../../linux/mount-list.ts'
import { statOrNone } from '../../node/or-none.ts'
import type { FetchedBlob } from '../blobs/fetch-queue.ts'
import type { Placed } from '../blobs/placed.ts'
import { extractKey } from '../operation/snapshot-keys.ts'
import { discard, tell, type LayerContext, type TopHalf } from './context.ts'

/** How many keys are tried when Prepare answers AlreadyExists and the chain ID is not there (containerd/FACTS.md section 2). */
const KEYS = 3

/**
 * containerd/FACTS.md section 2, steps 4 and 5: Prepare, fetch the blob, Apply, check the diff ID. After a failure the active
 * snapshot is removed. Where the blob stood in for the layer's own and turns out to be something else, the next offer of the
 * fetch queue is tried. DIFF_ID_MISMATCH, BLOB_NOT_FOUND, SNAPSHOT_WITHOUT_MOUNTS, ABORTED, and errors of the backend and of
 * the applier.
 */
export async function topHalf(context: LayerContext, placed: Placed): Promise<TopHalf> {
  for (;;) {
    tell(context, placed, 'preparing')
    const prepared = await prepareLayer(context, placed, placed.layer.parent)
    if (prepared === undefined) return { state: 'taken' }
    const { key, mounts } = prepared
    let tried: FetchedBlob | undefined
    try {
      tell(context, placed, 'prepared')
      if (isReadOnly(mounts.at(-1))) return { state: 'staged', key }
      tell(context, placed, 'fetching')
      const fetched = await context.fetchQueue.ensure(placed)
      tried = fetched
      const applied = await applyLayer(context, placed, mounts, fetched)
      const proven = applied.diffID === placed.layer.diffID
      return { state: 'applied', key, bytes: applied.size, fetched, proven }
    } catch (error) {
      const failure = await discard(context, key, asAborted(error, context.signal))
      if (failure !== error || tried === undefined) throw failure
      if (!(await context.fetchQueue.refuse(placed, tried, failure))) throw failure
    }
  }
}

/** Prepares an active snapshot for the layer on this parent. Undefined where the chain ID turns out to be there. */
export async function prepareLayer(
  context: LayerContext,
  { layer }: Placed,
  parent: string,
): Promise<{ key: string; mounts: Mount[] } | undefined> {
  const { snapshotter, signal } = context
  let refusal: unknown
  for (let attempt = 0; attempt < KEYS; attempt++) {
    checkAborted(signal)
    const key = extractKey(layer.chainID)
    try {
      const mounts = await snapshotter.prepare(key, parent, { ...layer.labels })
      if (mounts.length > 0) return { key, mounts }
    } catch (error) {
      // The snapshot may have been made and only the answer lost, so the key is removed even after a failure.
      if (!hasCode(error, 'ALREADY_EXISTS')) throw await discard(context, key, asAborted(error, signal))
      if (await statOrNone(snapshotter, layer.chainID)) return undefined
      refusal = error
      continue
    }
    throw await discard(context, key, withoutMounts(snapshotter.name, layer.chainID))
  }
  throw new LayercastError(
    'ALREADY_EXISTS',
    `snapshotter ${snapshotter.name} says of ${KEYS} new keys that they exist, and does not know ${layer.chainID}`,
    {
      cause: refusal,
      fix: `Look at the snapshotter's log, and remove what is left of this chain: layercast snapshot ls --snapshotter ${snapshotter.name}`,
      detail: { chainID: layer.chainID, snapshotter: snapshotter.name },
    },
  )
}

/** Writes the layer's content into the mounts and checks its diff ID. DIFF_ID_MISMATCH, ABORTED, and errors of the applier. */
export async function applyLayer(
  context: LayerContext,
  placed: Placed,
  mounts: readonly Mount[],
  { blob, origin }: FetchedBlob,
): Promise<Applied> {
  const { applier, ignored, signal, emit } = context
  const { index, layer } = placed
  const { chainID, descriptor } = layer
  checkAborted(signal)
  tell(context, placed, 'applying')
  const applied = await applier.apply(blob, mounts, {
    signal,
    onIgnored: ignored.begin(index),
    onProgress: (bytes) =>
      emit({ type: 'progress', index, chainID, digest: descriptor.digest, bytes, total: blob.size }),
  })
  // A layer that was made again is uncompressed, so its own digest is its diff ID. It is rarely the image's.
  const expected = origin.from === 'snapshotter' ? blob.digest : layer.diffID
  if (applied.diffID !== expected) throw mismatch(placed, blob, expected, applied)
  checkAborted(signal)
  tell(context, placed, 'applied')
  return applied
}

function mismatch({ layer }: Placed, { digest }: Descriptor, expected: Digest, { diffID }: Applied): LayercastError {
  const own = digest === layer.descriptor.digest
  const what = own ? `layer ${digest}` : `blob ${digest}, in the place of layer ${layer.descriptor.digest},`
  return new LayercastError(
    'DIFF_ID_MISMATCH',
    `${what} uncompresses to ${diffID}, and the image's config says ${expected}`,
    {
      fix: own
        ? SUSPECT_FIX
        : `The blob's ${UNCOMPRESSED_LABEL} label, or the source that has it, is wrong: name a source of the layer itself (--source).`,
      detail: { layer: layer.descriptor.digest, expected, actual: diffID, ...(own ? {} : { blob: digest }) },
    },
  )
}

/** Since containerd 2.4, a read-only last mount means that the snapshotter has staged the content itself. */
function isReadOnly(mount: Mount | undefined): boolean {
  return mount?.options.includes('ro') ?? false
}

function withoutMounts(snapshotter: string, chainID: string): LayercastError {
  return new LayercastError(
    'SNAPSHOT_WITHOUT_MOUNTS',
    `snapshotter ${snapshotter} prepared ${chainID} and gave no mounts, which is how nydus answers when its own commit failed`,
    { fix: "Look at the snapshotter's log for the reason, and run again.", detail: { chainID, snapshotter } },
  )
}
