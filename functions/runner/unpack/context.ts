import { LayercastError } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import type { Applier, Backend, Snapshotter } from '../../node/ports.ts'
import { blobFix } from '../../image/blob-fixes.ts'
import type { Placed } from '../blobs/types.ts'
import type { IgnoredTally } from './ignored.ts'
import type { Supply } from '../blobs/queue.ts'
import type { Emit, LayerState, LayerStep } from './types.ts'

/** What the halves of a layer work with; everything made through it is held by the run's lease. */
export interface LayerContext {
  /** Under the lease. */
  backend: Backend
  snapshotter: Snapshotter
  applier: Applier
  supply: Supply
  /** What the layers hold and could not be written. */
  ignored: IgnoredTally
  signal: AbortSignal
  emit: Emit
}

export type { Placed } from '../blobs/types.ts'

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

/** What there is to say of missing blobs besides their names. */
interface NotFoundOptions {
  why?: string
  /** Why ways that were named do not help, in words, and the errors among those reasons. */
  problems?: readonly string[]
  causes?: readonly unknown[]
  /** What is to be done about those. */
  fixes?: readonly string[]
}

/** BLOB_NOT_FOUND for everything that is missing, named in one error. */
export function blobsNotFound(digests: readonly Digest[], options: NotFoundOptions = {}): LayercastError {
  const { why, problems = [], causes = [], fixes = [] } = options
  const names = [...new Set(digests)]
  const what = names.length === 1 ? `blob ${names[0]} is` : `${names.length} blobs are`
  const list = names.length === 1 ? '' : `: ${names.join(', ')}`
  const said = `${what} not in the content store${why ? ` (${why})` : ''}${list}`
  return new LayercastError('BLOB_NOT_FOUND', [said, ...problems].join('; '), {
    fix: blobFix(fixes),
    ...(causes.length > 0 && { cause: causes.length === 1 ? causes[0] : new AggregateError(causes, 'no way helps') }),
    detail: { digests: names, ...(problems.length > 0 && { problems }) },
  })
}
