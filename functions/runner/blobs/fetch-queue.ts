import { hasCode, LayercastError, type Code } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { messageOf } from '../../kit/cleanup.ts'
import { retry } from '../../kit/retry.ts'
import { faultOf, hasBytes } from '../../node/blob-fault.ts'
import type { Backend } from '../../node/ports.ts'
import type { OperationEvent } from '../operation/events.ts'
import { blobsNotFound } from './not-found.ts'
import type { BlobOrigin } from './origin.ts'
import { originText } from './origin.ts'
import type { BlobProviders } from './providers.ts'
import type { BlobOffer, Placed } from './types.ts'

/** Where the blob of a layer comes from that has none here: told once it is decided, and again when that did not do. */
export interface OriginEvent {
  type: 'origin'
  index: number
  chainID: Digest
  digest: Digest
  origin: BlobOrigin
}

type Emit = (event: OriginEvent | OperationEvent) => void

export interface FetchQueueOptions {
  /** Under the lease. */
  backend: Backend
  providers: BlobProviders
  /** How many blobs are fetched at once. */
  concurrency: number
  signal: AbortSignal
  emit: Emit
}

/** What a layer is written from. */
export interface FetchedBlob {
  /** In the content store. */
  blob: Descriptor
  origin: BlobOrigin
}

/** Sees to it that a layer's content is there when its turn comes. */
export interface FetchQueue {
  /** Begins to fetch these, in this order, ahead of their turn. */
  ahead(layers: readonly Placed[]): void
  /**
   * Returns once the layer's blob, or another that does for it, is in the content store. BLOB_NOT_FOUND where it is not and
   * no way leads to it; else what the last way failed with.
   */
  ensure(placed: Placed): Promise<FetchedBlob>
  /** Whether, what was fetched having turned out to be something else, there is another way; `ensure` then goes it. */
  another(placed: Placed, fetched: FetchedBlob, error: unknown): Promise<boolean>
  /** Stops what is under way and waits for its end. */
  close(): Promise<void>
}

/** What a blob under another digest than the layer's can be wrong with. */
const CONTENT_FAULTS: readonly Code[] = [
  'DIFF_ID_MISMATCH',
  'DIGEST_MISMATCH',
  'LAYER_CORRUPT',
  'LAYER_TOO_LARGE',
  'LAYER_UNSAFE',
  'LAYER_UNSUPPORTED',
]

/** A supply over the content store and, for what is missing there, the ways to it. Each blob is fetched once. */
export function createFetchQueue({ backend, providers, concurrency, signal, emit }: FetchQueueOptions): FetchQueue {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const started = new Map<Digest, Promise<FetchedBlob>>()
  const fetching = new Map<Digest, Promise<Descriptor>>()
  /** Blobs that are there and turned out to be damaged. */
  const damaged = new Set<Digest>()
  const waiting: (() => void)[] = []
  let running = 0

  async function slot(): Promise<void> {
    if (running < concurrency) running++
    else await new Promise<void>((resolve) => waiting.push(resolve))
  }

  function free(): void {
    const next = waiting.shift()
    if (next) next()
    else running--
  }

  async function fetchOne({ origin, fetch }: BlobOffer, { layer }: Placed): Promise<Descriptor> {
    await slot()
    try {
      const what = `fetch ${layer.descriptor.digest} from ${originText(origin)}`
      return await retry(() => fetch(backend, either), { what, signal: either, emit })
    } finally {
      free()
    }
  }

  /** Two layers of one blob have it fetched once; what is made again is of one place in the chain. */
  async function fetchOnce(offer: BlobOffer, placed: Placed): Promise<Descriptor> {
    if (offer.blob === undefined) return await fetchOne(offer, placed)
    const { digest } = offer.blob
    const under = fetching.get(digest)
    if (under) return await under
    const fetched = fetchOne(offer, placed)
    fetching.set(digest, fetched)
    try {
      return await fetched
    } catch (error) {
      fetching.delete(digest)
      throw error
    }
  }

  async function supply(placed: Placed): Promise<FetchedBlob> {
    let offer = await providers.current(placed)
    for (;;) {
      if (offer === undefined) throw nothingLeft(placed)
      try {
        return { blob: await fetchOnce(offer, placed), origin: offer.origin }
      } catch (error) {
        if (either.aborted || !isItsOwn(error)) throw error
        offer = await providers.next(placed)
        if (offer === undefined) throw error
        told(placed, offer.origin, error)
      }
    }
  }

  function told(placed: Placed, origin: BlobOrigin, error: unknown): void {
    emit({ type: 'warning', code: 'ORIGIN_REFUSED', detail: `${messageOf(error)}; now from ${originText(origin)}` })
    tellOrigin(placed, origin, emit)
  }

  function nothingLeft({ layer }: Placed): LayercastError {
    const why = layer.blob === 'required' ? {} : { why: 'the snapshotter did not take the layer, so it is needed' }
    return blobsNotFound([layer.descriptor.digest], {
      ...why,
      problems: providers.problems(),
      causes: providers.causes(),
      fixes: providers.fixes(),
    })
  }

  function begin(placed: Placed): Promise<FetchedBlob> {
    const { chainID } = placed.layer
    const under = started.get(chainID)
    if (under) return under
    const supplying = supply(placed)
    started.set(chainID, supplying)
    // Whoever needs the blob meets the error at its turn; until then nobody awaits it, which must not end the process.
    supplying.catch(() => started.delete(chainID))
    return supplying
  }

  return {
    ahead(layers) {
      for (const placed of layers) void begin(placed)
    },
    async ensure(placed) {
      const { descriptor, chainID } = placed.layer
      const under = started.get(chainID)
      if (under) return await under
      if (!damaged.has(descriptor.digest) && (await providers.held(descriptor))) {
        return { blob: descriptor, origin: { from: 'here' } }
      }
      return await begin(placed)
    },
    async another(placed, { blob, origin }, error) {
      const { descriptor, chainID } = placed.layer
      if (!hasCode(error, ...CONTENT_FAULTS)) return false
      const isHere = origin.from === 'here'
      // The layer's own blob is what the image has, right or wrong, unless its bytes are others.
      if (isHere && (await faultOf(backend.content, blob, either)) === undefined) return false
      if (!isHere && blob.digest === descriptor.digest) return false
      const next = await (isHere ? providers.current(placed) : providers.next(placed))
      if (next === undefined) return false
      if (isHere) damaged.add(descriptor.digest)
      started.delete(chainID)
      told(placed, next.origin, error)
      return true
    },
    async close() {
      stop.abort(new Error('the unpack has ended'))
      await Promise.allSettled(started.values())
    },
  }
}

/** Tells where a layer will come from. */
export function tellOrigin({ index, layer }: Placed, origin: BlobOrigin, emit: Emit): void {
  const { chainID, descriptor } = layer
  emit({ type: 'origin', index, chainID, digest: descriptor.digest, origin })
}

/** Whether the failure is one of that way, so that another may do better; the node's own are not. */
function isItsOwn(error: unknown): boolean {
  return error instanceof LayercastError && !hasCode(error, 'ABORTED', 'CONTAINERD_UNREACHABLE', 'INTERNAL')
}

/** Whether the content store has the blob, as far as its last byte tells. */
export async function hasBlob({ content }: Backend, digest: Digest): Promise<boolean> {
  return await hasBytes(content, digest)
}
