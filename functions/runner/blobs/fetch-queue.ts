/**
 * Fetches missing blobs ahead of the layers that need them, so many at once. Each blob is fetched once, from the first offer
 * that works.
 */
import { hasCode, LayercastError, type Code } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { messageOf } from '../../kit/cleanup.ts'
import { retry } from '../../kit/retry.ts'
import { faultOf } from '../../node/blob-fault.ts'
import type { Backend } from '../../node/ports.ts'
import type { OperationEvent } from '../operation/events.ts'
import { blobsNotFound } from './not-found.ts'
import { originText, tellOrigin, type BlobOrigin, type OriginEvent } from './origin.ts'
import type { Placed } from './placed.ts'
import type { BlobProviders } from './providers.ts'
import { Slots } from './slots.ts'
import type { BlobOffer } from './types.ts'

export interface FetchQueueOptions {
  /** Under the lease. */
  backend: Backend
  providers: BlobProviders
  /** How many blobs are fetched at once. */
  concurrency: number
  signal: AbortSignal
  emit: (event: OriginEvent | OperationEvent) => void
}

/** What a layer is written from. */
export interface FetchedBlob {
  /** In the content store. */
  blob: Descriptor
  origin: BlobOrigin
}

/** What may be wrong with a blob that was taken for the layer's content, and is something else. */
const CONTENT_FAULTS: readonly Code[] = [
  'DIFF_ID_MISMATCH',
  'DIGEST_MISMATCH',
  'LAYER_CORRUPT',
  'LAYER_TOO_LARGE',
  'LAYER_UNSAFE',
  'LAYER_UNSUPPORTED',
]

export class FetchQueue {
  readonly #options: FetchQueueOptions
  readonly #slots: Slots
  readonly #stop = new AbortController()
  /** Fires when the run is stopped, and when the queue is closed. */
  readonly #signal: AbortSignal
  /** By chain ID. */
  readonly #layers = new Map<Digest, Promise<FetchedBlob>>()
  /** By the digest of the blob that is fetched, which several layers may share. */
  readonly #blobs = new Map<Digest, Promise<Descriptor>>()
  /** Blobs of the content store that turned out to be damaged. */
  readonly #damaged = new Set<Digest>()

  constructor(options: FetchQueueOptions) {
    this.#options = options
    this.#slots = new Slots(options.concurrency)
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal])
  }

  /** Starts to fetch the blobs of these layers, in this order, before anybody waits for them. */
  prefetch(layers: readonly Placed[]): void {
    for (const placed of layers) void this.#begin(placed)
  }

  /**
   * Returns once the layer's blob, or another that gives the same content, is in the content store. BLOB_NOT_FOUND where it
   * is missing and nobody offers it; else the error of the last offer.
   */
  async ensure(placed: Placed): Promise<FetchedBlob> {
    const { descriptor, chainID } = placed.layer
    const begun = this.#layers.get(chainID)
    if (begun) return await begun
    if (!this.#damaged.has(descriptor.digest) && (await this.#options.providers.isInStore(descriptor))) {
      return { blob: descriptor, origin: { from: 'here' } }
    }
    return await this.#begin(placed)
  }

  /**
   * Refuses what `ensure` gave, because applying it failed with `error`. Whether there is another offer; `ensure` then fetches
   * that one. False for an error that no other blob would mend.
   */
  async refuse(placed: Placed, { blob, origin }: FetchedBlob, error: unknown): Promise<boolean> {
    const { backend, providers } = this.#options
    const { descriptor, chainID } = placed.layer
    if (!hasCode(error, ...CONTENT_FAULTS)) return false
    const isHere = origin.from === 'here'
    // The layer's own blob is what the image consists of, right or wrong, unless its bytes have changed.
    if (isHere && (await faultOf(backend.content, blob, this.#signal)) === undefined) return false
    if (!isHere && blob.digest === descriptor.digest) return false
    const next = await (isHere ? providers.offerFor(placed) : providers.nextOfferFor(placed))
    if (next === undefined) return false
    if (isHere) this.#damaged.add(descriptor.digest)
    this.#layers.delete(chainID)
    this.#tellRefused(placed, next.origin, error)
    return true
  }

  /** Stops the fetches that are running and waits for their end. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the unpack has ended'))
    await Promise.allSettled(this.#layers.values())
  }

  #begin(placed: Placed): Promise<FetchedBlob> {
    const { chainID } = placed.layer
    const begun = this.#layers.get(chainID)
    if (begun) return begun
    const fetching = this.#fetchFirst(placed)
    this.#layers.set(chainID, fetching)
    // Nobody may be waiting yet, and an unhandled rejection would end the process. Whoever waits later fetches again.
    fetching.catch(() => this.#layers.delete(chainID))
    return fetching
  }

  /** Goes through the offers for the layer until one works. */
  async #fetchFirst(placed: Placed): Promise<FetchedBlob> {
    const { providers } = this.#options
    let offer = await providers.offerFor(placed)
    if (offer === undefined) throw this.#notFound(placed)
    for (;;) {
      try {
        return { blob: await this.#fetchOnce(offer, placed), origin: offer.origin }
      } catch (error) {
        if (this.#signal.aborted || !isOfOffer(error)) throw error
        offer = await providers.nextOfferFor(placed)
        if (offer === undefined) throw error
        this.#tellRefused(placed, offer.origin, error)
      }
    }
  }

  /** Two layers with one blob share its fetch. What is made again belongs to one place in the chain, and is not shared. */
  async #fetchOnce(offer: BlobOffer, placed: Placed): Promise<Descriptor> {
    if (offer.blob === undefined) return await this.#fetch(offer, placed)
    const { digest } = offer.blob
    const begun = this.#blobs.get(digest)
    if (begun) return await begun
    const fetching = this.#fetch(offer, placed)
    this.#blobs.set(digest, fetching)
    try {
      return await fetching
    } catch (error) {
      this.#blobs.delete(digest)
      throw error
    }
  }

  async #fetch(offer: BlobOffer, { layer }: Placed): Promise<Descriptor> {
    const { backend, emit } = this.#options
    const what = `fetch ${layer.descriptor.digest} from ${originText(offer.origin)}`
    return await this.#slots.run(() =>
      retry(() => offer.fetch(backend, this.#signal), { what, signal: this.#signal, emit }),
    )
  }

  #tellRefused(placed: Placed, next: BlobOrigin, error: unknown): void {
    const { emit } = this.#options
    emit({ type: 'warning', code: 'ORIGIN_REFUSED', detail: `${messageOf(error)}; now from ${originText(next)}` })
    tellOrigin(placed, next, emit)
  }

  #notFound({ layer }: Placed): LayercastError {
    const why = layer.blob === 'required' ? undefined : 'the snapshotter did not take the layer, so it is needed'
    return blobsNotFound([layer.descriptor.digest], { why, ...this.#options.providers.complaints() })
  }
}

/** Whether the failure belongs to this offer, so that another one may work. Failures of the node do not. */
function isOfOffer(error: unknown): boolean {
  return error instanceof LayercastError && !hasCode(error, 'ABORTED', 'CONTAINERD_UNREACHABLE', 'INTERNAL')
}
