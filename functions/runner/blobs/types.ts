import type { Descriptor } from '../../image/descriptor.ts'
import type { Backend } from '../../node/ports.ts'
import type { PlanLayer } from '../../plan/document.ts'
import type { BlobOrigin } from './origin.ts'

/** The ways to a missing blob that a user allows besides what is on the node. */
export interface BlobProviderOptions {
  /**
   * Sources, asked in this order: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`,
   * `docker://NAME`, and `registry` for where the blobs' own labels say that they came from.
   */
  sources?: readonly string[]
  /** A snapshotter under which the image is unpacked, and from which layers may be made again. */
  fromSnapshotter?: string
}

/** Brings a blob that is not there into the content store that it is given, or throws. */
export type Provide = (layer: Descriptor, into: Backend, signal: AbortSignal) => Promise<void>

/** A layer of the plan and its place in it. */
export interface Placed {
  index: number
  layer: PlanLayer
}

/** One way by which one layer may come. */
export interface BlobOffer {
  origin: BlobOrigin
  /** What will be in the content store; unknown before a layer is made again. */
  blob: Descriptor | undefined
  /** Sees to it that the blob is in the content store and held by the lease of `into`; gives what to apply. */
  fetch(into: Backend, signal: AbortSignal): Promise<Descriptor>
}

/** One way to all missing blobs. */
export interface BlobProvider {
  /** What there is for this layer. Looked for once; a failure that may pass is thrown, and it is asked again. */
  find(placed: Placed): Promise<BlobOffer[]>
  close?(): Promise<void>
}

/** Takes note of why a way that the user named does not help; it is shown where a layer cannot be had. */
export type Complain = (text: string, cause?: unknown) => void
