import type { Applier } from '../../layer/apply/types.ts'
import type { Backend, Snapshotter } from '../../node/ports.ts'
import type { FetchQueue } from '../blobs/fetch-queue.ts'
import type { Placed } from '../blobs/placed.ts'
import type { IgnoredTally } from './ignored.ts'
import type { Emit, LayerState, LayerStep } from './types.ts'

/** What the halves of a layer work with; everything made through it is held by the run's lease. */
export interface LayerContext {
  /** Under the lease. */
  backend: Backend
  snapshotter: Snapshotter
  applier: Applier
  fetchQueue: FetchQueue
  /** What the layers hold and could not be written. */
  ignored: IgnoredTally
  signal: AbortSignal
  emit: Emit
}

/** Tells what step of a layer is reached. */
export function tell(context: LayerContext, placed: Placed, step: LayerStep, state?: LayerState): void {
  const { index, layer } = placed
  context.emit({
    type: 'layer',
    index,
    chainID: layer.chainID,
    digest: layer.descriptor.digest,
    step,
    ...(state === undefined ? {} : { state }),
  })
}
