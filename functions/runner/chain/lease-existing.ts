/** Puts a snapshot that is there already under the lease of an operation. */
import { hasCode } from '../../errors.ts'
import { asAborted } from '../../kit/abort.ts'
import { cleanUp } from '../../kit/cleanup.ts'
import { removeIfThere, statOrNone } from '../../node/or-none.ts'
import type { Snapshotter } from '../../node/ports.ts'
import type { PlanLayer } from '../../plan/document.ts'
import { extractKey } from '../operation/snapshot-keys.ts'

/**
 * Puts the layer's snapshot under the lease that `snapshotter` works under. containerd answers AlreadyExists to a Prepare
 * whose label `containerd.io/snapshot.ref` names a snapshot that is there, and adds that snapshot to the lease: there is no
 * window in which the collector could take it.
 *
 * @returns false where the snapshot is not there, because the collector was faster
 */
export async function leaseExisting(snapshotter: Snapshotter, layer: PlanLayer, signal: AbortSignal): Promise<boolean> {
  const key = extractKey(layer.chainID)
  const remove = { what: `remove snapshot ${key}`, run: () => removeIfThere(snapshotter, key) }
  try {
    await snapshotter.prepare(key, layer.parent, { ...layer.labels })
  } catch (error) {
    if (hasCode(error, 'ALREADY_EXISTS')) return (await statOrNone(snapshotter, layer.chainID)) !== undefined
    if (hasCode(error, 'SNAPSHOT_NOT_FOUND')) return false
    // An active snapshot may have been made though the answer was lost.
    throw await cleanUp(asAborted(error, signal), [remove])
  }
  await remove.run()
  return false
}
