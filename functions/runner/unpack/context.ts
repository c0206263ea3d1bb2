/** What the steps of a layer work with, and how they tell where they are. */
import type { Applier } from '../../layer/apply/types.ts'
import type { Backend, Snapshotter } from '../../node/ports.ts'
import type { FetchQueue } from '../blobs/fetch-queue.ts'
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

/** Tells which step a layer has reached. */
export function tell(context: LayerContext, placed: Placed, step: LayerStep, state?: LayerState): void {
  const { index, layer } = placed
  context.emit({ type: 'layer', index, chainID: layer.chainID, digest: layer.descriptor.digest, step, state })
}
