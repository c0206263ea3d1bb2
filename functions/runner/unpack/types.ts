import type { Digest } from '../../image/digest.ts'
import type { Applier } from '../../layer/apply/types.ts'
import type { Backend } from '../../node/ports.ts'
import type { PlanWarning, Planned } from '../../plan/document.ts'
import type { BlobOrigin, OriginEvent } from '../blobs/origin.ts'
import type { BlobProviderOptions } from '../blobs/types.ts'
import type { Lazy } from '../chain/lazy.ts'
import type { OperationEvent } from '../operation/events.ts'

/** Who writes the layers: the backend's own service (containerd's diff), or layercast's applier straight into the mounts. */
export type ApplierChoice = 'containerd' | 'own'

/**
 * What became of a layer: its snapshot was there before (`exists`), the snapshotter took it without content, or someone
 * else was first (`taken`), it was written here (`applied`), or the snapshotter had its content staged (`staged`).
 */
export type LayerState = 'exists' | 'taken' | 'applied' | 'staged'

/** The steps of one layer, in their order. A step is told once it is behind, except the `-ing` ones. */
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
  /** Said once, after looking: how many layers there are, and how many of them are there already. */
  | { type: 'started'; layers: number; present: number }
  | OperationEvent
  | OriginEvent
  | { type: 'layer'; index: number; chainID: Digest; digest: Digest; step: LayerStep; state?: LayerState }
  /** Compressed bytes read of `total`. */
  | { type: 'progress'; index: number; chainID: Digest; digest: Digest; bytes: number; total: number }
  | { type: 'chain'; step: 'checked' | 'labelled' }

export interface UnpackOptions {
  backend: Backend
  planned: Planned
  /** Where absent layercast's own, wherever it can reach the snapshot, and containerd's for the others. */
  applier?: ApplierChoice | Applier
  /** Whether layers are written one after the other also where they could be written side by side. */
  sequential?: boolean
  /**
   * Where missing blobs may come from, besides other blobs of the same content on the node. A blob that is required and
   * that none of these ways leads to is an error before anything is touched.
   */
  blobs?: BlobProviderOptions
  signal?: AbortSignal
  onEvent?: (event: UnpackEvent) => void
}

export interface UnpackedLayer {
  index: number
  digest: Digest
  chainID: Digest
  state: LayerState
  ms: number
  /** Bytes of the uncompressed tar that was written; 0 when nothing was. */
  bytes: number
  /** Where the content came from; only where it was written here. */
  blob?: BlobOrigin
}

export interface UnpackResult {
  /** The plan's digest. */
  plan: Digest
  reference: string
  snapshotter: string
  chainID: Digest | ''
  /** Nothing had to be done: the chain and its gc label were there. */
  ready: boolean
  layers: UnpackedLayer[]
  /** How many layers are lazy, made now or before; absent under snapshotters that unpack every layer, or do not tell. */
  lazy?: Lazy
  /**
   * The plan's warnings and those of the run: LABELS_DIFFER, NOTHING_LAZY, ENTRIES_IGNORED, LEASE_LEFT, ORIGIN_REFUSED,
   * DIFF_ID_UNCHECKED, TREE_WRONG, TREE_UNCHECKED.
   */
  warnings: PlanWarning[]
  ms: number
}

export type Emit = (event: UnpackEvent) => void
