import { LayercastError } from '../../image/errors.ts'
import type { Digest } from '../../image/digest.ts'
import type { PlanLayer } from '../../plan/document.ts'
import type { Applier, Backend, Snapshotter } from '../ports.ts'
import type { Supply } from './supply.ts'
import type { Emit, LayerState, LayerStep } from './types.ts'

/** What the halves of a layer work with; everything made through it is held by the run's lease. */
export interface LayerContext {
  /** Under the lease. */
  backend: Backend
  snapshotter: Snapshotter
  applier: Applier
  supply: Supply
  signal: AbortSignal
  emit: Emit
}

/** A layer of the plan and its place in it. */
export interface Placed {
  index: number
  layer: PlanLayer
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

/** BLOB_NOT_FOUND for everything that is missing, named in one error. */
export function blobsNotFound(digests: readonly Digest[], why?: string): LayercastError {
  const names = [...new Set(digests)]
  const what = names.length === 1 ? `blob ${names[0]} is` : `${names.length} blobs are`
  const list = names.length === 1 ? '' : `: ${names.join(', ')}`
  return new LayercastError('BLOB_NOT_FOUND', `${what} not in the content store${why ? ` (${why})` : ''}${list}`, {
    fix: 'Pull or import the image again so that its blobs are there, or name a source that has them.',
    detail: { digests: names },
  })
}
