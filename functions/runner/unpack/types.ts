/** What an unpack takes, tells and gives. */
import type { Digest } from '../../image/digest.ts'
import type { Applier } from '../../layer/apply/types.ts'
import type { Backend } from '../../node/ports.ts'
import type { PlanWarning, Planned } from '../../plan/document.ts'
import type { BlobOrigin, OriginEvent } from '../blobs/origin.ts'
import type { BlobProviderOptions } from '../blobs/types.ts'
import type { Lazy } from '../chain/lazy.ts'
import type { OperationEvent } from '../operation/events.ts'

/** Who writes the layers: containerd's diff service, or layercast's own applier, straight into the mounts. */
export type ApplierChoice = 'containerd' | 'own'

/**
 * What became of a layer: its snapshot was there before (`exists`); the snapshotter took it without content, or somebody else
 * was first (`taken`); it was written here (`applied`); the snapshotter had its content staged (`staged`).
 */
export type LayerState = 'exists' | 'taken' | 'applied' | 'staged'

/** The steps of one layer, in their order. Those in `-ing` are told when they begin, the others when they are done. */
export type LayerStep =
  | 'preparing'
  | 'prepared'
  | 'fetching'
  | 'applying'
  | 'applied'
  | 'committing'
  | 'committed'
  | 'labelled'
  | 'done'

export type UnpackEvent =
  /** Told once, after the look at the node: how many layers the plan has, and how many of them are there. */
  | { type: 'started'; layers: number; present: number }
  | OperationEvent
  | OriginEvent
  /** `state` comes with the step `done`. */
  | { type: 'layer'; index: number; chainID: Digest; digest: Digest; step: LayerStep; state?: LayerState | undefined }
  /** Compressed bytes read, of `total`. */
  | { type: 'progress'; index: number; chainID: Digest; digest: Digest; bytes: number; total: number }
  | { type: 'chain'; step: 'checked' | 'labelled' }

export interface UnpackOptions {
  backend: Backend
  planned: Planned
  /**
   * Who writes the layers. Without a choice layercast's own applier does, wherever it can reach the snapshot, and containerd's
   * for the others. An applier of the caller's writes all of them, one after the other.
   */
  applier?: ApplierChoice | Applier | undefined
  /** Write one layer after the other, also where several could be written in parallel. */
  sequential?: boolean | undefined
  /**
   * Where missing blobs may come from, besides other blobs of the same content on the node. A blob that is required and that
   * no provider offers is an error before anything is touched.
   */
  blobs?: BlobProviderOptions | undefined
  signal?: AbortSignal | undefined
  onEvent?: ((event: UnpackEvent) => void) | undefined
}

export interface UnpackedLayer {
  index: number
  digest: Digest
  chainID: Digest
  state: LayerState
  ms: number
  /** Bytes of the uncompressed tar that was written; 0 when nothing was. */
  bytes: number
  /** What it was written from; absent where it was not written here. */
  blob?: BlobOrigin
}

export interface UnpackResult {
  /** The plan's digest. */
  plan: Digest
  reference: string
  snapshotter: string
  chainID: Digest | ''
  /** Whether nothing had to be done: the chain and its gc label were there. */
  ready: boolean
  layers: UnpackedLayer[]
  /** How many layers are lazy, made now or before; absent under snapshotters that unpack every layer or do not tell. */
  lazy?: Lazy
  /**
   * The plan's warnings and those of the run: LABELS_DIFFER, NOTHING_LAZY, ENTRIES_IGNORED, LEASE_LEFT, ORIGIN_REFUSED,
   * DIFF_ID_UNCHECKED, TREE_WRONG, TREE_UNCHECKED.
   */
  warnings: PlanWarning[]
  ms: number
}

export type Emit = (event: UnpackEvent) => void
