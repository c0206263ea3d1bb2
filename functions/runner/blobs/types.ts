/** What the files of this room share: what a user allows, what a provider is, and what it offers. */
import type { Descriptor } from '../../image/descriptor.ts'
import type { Backend } from '../../node/ports.ts'
import type { BlobOrigin } from './origin.ts'
import type { Placed } from './placed.ts'

/** Where a missing blob may come from, besides other blobs of the same content on the node. */
export interface BlobProviderOptions {
  /**
   * Sources, asked in this order: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`,
   * `docker://NAME`, and `registry` for the registries that the blobs' own labels name.
   */
  sources?: readonly string[] | undefined
  /** A snapshotter under which the image is unpacked. Layers may be made again from its snapshots. */
  fromSnapshotter?: string | undefined
}

/** One provider's offer of one layer. */
export interface BlobOffer {
  origin: BlobOrigin
  /** The blob that `fetch` leaves in the content store. Undefined where a layer is made again: its digest is known only then. */
  blob: Descriptor | undefined
  /** Leaves the blob in the content store, under the lease of `into`, and gives the descriptor to apply. */
  fetch(into: Backend, signal: AbortSignal): Promise<Descriptor>
}

/** One place that may have missing blobs. */
export interface BlobProvider {
  /** What it has for this layer, the best first. It is asked once, unless it throws: a failure that may pass is thrown. */
  offers(placed: Placed): Promise<BlobOffer[]>
  close?(): Promise<void>
}

/** Takes note of why a provider that the user named does not help. Shown where a layer cannot be had. */
export type Complain = (text: string, cause?: unknown) => void

/** All that was complained of, each once. */
export interface Complaints {
  /** In words. */
  problems: string[]
  /** The errors among them. */
  causes: unknown[]
  /** What those errors say is to be done. */
  fixes: string[]
}
