/** What the halves of a layer share: what they work with, what the one leaves to the other, how they tell where they are. */
import { cleanUp } from '../../kit/cleanup.ts'
import type { Applier } from '../../layer/apply/types.ts'
import { removeIfThere } from '../../node/or-none.ts'
import type { Backend, Snapshotter } from '../../node/ports.ts'
import type { FetchedBlob, FetchQueue } from '../blobs/fetch-queue.ts'
import type { Placed } from '../blobs/placed.ts'
import type { IgnoredTally } from './ignored.ts'
import type { Emit, LayerState, LayerStep } from './types.ts'

export interface LayerContext {
  /** Under the run's lease, as are `snapshotter` and `fetchQueue`: the lease holds everything made through them. */
  backend: Backend
  /** The same backend as the run was given it, without the lease: two runs that were given the same one wait for each other. */
  unleased: Backend
  snapshotter: Snapshotter
  applier: Applier
  fetchQueue: FetchQueue
  /** What the layers contain and this node could not write. */
  ignored: IgnoredTally
  signal: AbortSignal
  emit: Emit
}

/** What the top half leaves to the bottom half: nothing (`taken`), or an active snapshot to commit. `proven`: the diff ID was checked. */
export type TopHalf =
  | { state: 'taken' }
  | { state: 'applied'; key: string; bytes: number; fetched: FetchedBlob; proven: boolean }
  | { state: 'staged'; key: string }

/** Tells which step a layer has reached. */
export function tell(context: LayerContext, placed: Placed, step: LayerStep, state?: LayerState): void {
  const { index, layer } = placed
  context.emit({ type: 'layer', index, chainID: layer.chainID, digest: layer.descriptor.digest, step, state })
}

/** Removes the active snapshot of a failed step, and gives the error to throw. */
export async function discard(context: LayerContext, key: string, error: unknown): Promise<unknown> {
  return await cleanUp(error, [{ what: `remove snapshot ${key}`, run: () => removeIfThere(context.snapshotter, key) }])
}
