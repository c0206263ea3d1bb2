import { hasCode, LayercastError } from '../../image/errors.ts'
import type { Applied, Mount } from '../ports.ts'
import { asAborted, checkAborted } from './abort.ts'
import { cleanUp } from './cleanup.ts'
import { tell, type LayerContext, type Placed } from './context.ts'
import { extractKey, removeIfThere, statOrNone } from './snapshots.ts'

/** AlreadyExists without a snapshot behind it is answered by another key, three keys in all. */
const KEYS = 3

/** What the top half leaves to the bottom half: nothing (`taken`), or an active snapshot to commit. */
export type TopHalf =
  | { state: 'taken' }
  | { state: 'applied'; key: string; bytes: number }
  | { state: 'staged'; key: string }

/**
 * The first half of a layer, CONTAINERD-FACTS section 2, steps 4 and 5: Prepare, the blob, Apply, the diff ID. After a
 * failure the active snapshot is removed. DIFF_ID_MISMATCH, BLOB_NOT_FOUND, SNAPSHOT_WITHOUT_MOUNTS, and whatever
 * the backend and the applier say.
 */
export async function topHalf(context: LayerContext, placed: Placed): Promise<TopHalf> {
  tell(context, placed, 'preparing')
  const prepared = await prepareLayer(context, placed)
  if (prepared === undefined) return { state: 'taken' }
  const { key, mounts } = prepared
  try {
    tell(context, placed, 'prepared')
    if (isReadOnly(mounts.at(-1))) return { state: 'staged', key }
    const applied = await applyLayer(context, placed, mounts)
    return { state: 'applied', key, bytes: applied.size }
  } catch (error) {
    throw await discard(context, key, asAborted(error, context.signal))
  }
}

/** An active snapshot for the layer; undefined where the chain ID turns out to be there. */
async function prepareLayer(
  context: LayerContext,
  { layer }: Placed,
): Promise<{ key: string; mounts: Mount[] } | undefined> {
  const { snapshotter, signal } = context
  let refusal: unknown
  for (let attempt = 0; attempt < KEYS; attempt++) {
    checkAborted(signal)
    const key = extractKey(layer.chainID)
    try {
      const mounts = await snapshotter.prepare(key, layer.parent, { ...layer.labels })
      if (mounts.length > 0) return { key, mounts }
    } catch (error) {
      // The answer may have been lost with the snapshot made, so even a refused key is seen to.
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

async function applyLayer(context: LayerContext, placed: Placed, mounts: readonly Mount[]): Promise<Applied> {
  const { supply, applier, signal, emit } = context
  const { index, layer } = placed
  const { descriptor, chainID } = layer
  tell(context, placed, 'fetching')
  await supply.ensure(descriptor)
  checkAborted(signal)
  tell(context, placed, 'applying')
  const applied = await applier.apply(descriptor, mounts, {
    signal,
    onProgress: (bytes) =>
      emit({ type: 'progress', index, chainID, digest: descriptor.digest, bytes, total: descriptor.size }),
  })
  if (applied.diffID !== layer.diffID) {
    throw new LayercastError(
      'DIFF_ID_MISMATCH',
      `layer ${descriptor.digest} uncompresses to ${applied.diffID}, and the image's config says ${layer.diffID}`,
      {
        fix: 'The blob or the config is not what was built: pull the image again, or rebuild it.',
        detail: { layer: descriptor.digest, expected: layer.diffID, actual: applied.diffID },
      },
    )
  }
  checkAborted(signal)
  tell(context, placed, 'applied')
  return applied
}

/** containerd 2.4: a last mount that is read-only means that the snapshotter has staged the content itself. */
function isReadOnly(mount: Mount | undefined): boolean {
  return mount?.options.includes('ro') ?? false
}

/** Removes the active snapshot of a failed step, and gives the error to throw. */
export async function discard(context: LayerContext, key: string, error: unknown): Promise<unknown> {
  return await cleanUp(error, [{ what: `remove snapshot ${key}`, run: () => removeIfThere(context.snapshotter, key) }])
}

function withoutMounts(snapshotter: string, chainID: string): LayercastError {
  return new LayercastError(
    'SNAPSHOT_WITHOUT_MOUNTS',
    `snapshotter ${snapshotter} prepared ${chainID} and gave no mounts, which is how nydus answers when its own commit failed`,
    { fix: "Look at the snapshotter's log for the reason, and run again.", detail: { chainID, snapshotter } },
  )
}
