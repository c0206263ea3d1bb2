/** Which blob providers a run has, in their order, and which offer stands for each missing layer. */
import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { once } from '../../kit/once.ts'
import { faultOf, hasLastByte } from '../../node/blob-fault.ts'
import { infoOrNone } from '../../node/or-none.ts'
import type { Backend, ContentInfo, ContentStore } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { parseSpec } from '../sources/spec.ts'
import { snapshotterProvider } from './from-snapshotter.ts'
import { REGISTRY, sourceProvider } from './from-source.ts'
import type { Placed } from './placed.ts'
import { standInProvider } from './stand-in.ts'
import type { BlobOffer, BlobProvider, BlobProviderOptions, Complain, Complaints } from './types.ts'

export interface BlobProvidersOptions {
  backend: Backend
  plan: Plan
  /** What the user allows. */
  blobs?: BlobProviderOptions | undefined
  signal: AbortSignal
}

/** The providers of one run. */
export interface BlobProviders {
  /**
   * Whether the content store has the blob, and its last byte. Where the user named sources, the whole blob is checked against
   * its digest, once: a damaged one counts as missing then, and a source replaces it.
   */
  isInStore(blob: Descriptor): Promise<boolean>
  /** The offer that stands for this layer. Undefined where there is none, or none is left. */
  offerFor(placed: Placed): Promise<BlobOffer | undefined>
  /** Drops the offer that stands for this layer and gives the next one. Where there is no next one, it stays: undefined. */
  nextOfferFor(placed: Placed): Promise<BlobOffer | undefined>
  complaints(): Complaints
  close(): Promise<void>
}

/**
 * The providers in their order: other blobs of the content store with the same diff ID, the sources that the user named,
 * another snapshotter. Nothing is opened before a layer is looked for, and no provider is asked before those above it have
 * failed. SOURCE_INVALID for a spec that names no source; USAGE and TREE_NOT_ON_NODE for a snapshotter that cannot serve.
 */
export function createBlobProviders({ backend, plan, blobs = {}, signal }: BlobProvidersOptions): BlobProviders {
  const { sources = [], fromSnapshotter: from } = blobs
  for (const spec of sources) if (spec !== REGISTRY) parseSpec(spec)
  const complained = new Map<string, unknown>()
  const complain: Complain = (text, cause) => void complained.set(text, cause)
  const providers: readonly BlobProvider[] = [
    standInProvider(backend),
    ...sources.map((spec) => sourceProvider(spec, { backend, plan, signal, complain })),
    ...(from === undefined ? [] : [snapshotterProvider({ backend, plan, from, complain })]),
  ]
  const layers = new Map<Digest, LayerOffers>()
  const offersOf = (placed: Placed): LayerOffers => {
    // By chain ID and not by blob: the same layer twice in one image is made again from different snapshots.
    const { chainID } = placed.layer
    const known = layers.get(chainID) ?? new LayerOffers(placed, providers)
    layers.set(chainID, known)
    return known
  }
  return {
    isInStore: storeCheck(backend.content, complain, sources.length > 0 ? signal : undefined),
    offerFor: (placed) => offersOf(placed).current(),
    nextOfferFor: (placed) => offersOf(placed).next(),
    complaints() {
      const causes = [...complained.values()].filter((cause) => cause !== undefined)
      const fixes = causes.flatMap((cause) => (cause instanceof LayercastError ? (cause.fix ?? []) : []))
      return { problems: [...complained.keys()], causes, fixes: [...new Set(fixes)] }
    },
    async close() {
      for (const provider of providers) await provider.close?.()
    },
  }
}

/** @param whole where given, blobs are read whole, each once, until this signal fires; else their last byte is read */
function storeCheck(
  content: ContentStore,
  complain: Complain,
  whole: AbortSignal | undefined,
): BlobProviders['isInStore'] {
  const check = async (blob: Descriptor): Promise<boolean> => {
    const info = await infoOrNone(content, blob.digest)
    if (info === undefined) return false
    const fault = await faultIn(blob, info)
    if (fault !== undefined) complain(`blob ${blob.digest} of the content store ${fault}`)
    return fault === undefined
  }
  const faultIn = async (blob: Descriptor, info: ContentInfo): Promise<string | undefined> => {
    if (whole !== undefined) return await faultOf(content, blob, whole)
    return (await hasLastByte(content, info)) ? undefined : 'has lost its bytes, or the last of them'
  }
  if (whole === undefined) return check
  const checks = new Map<Digest, () => Promise<boolean>>()
  return async (blob) => {
    const ask = checks.get(blob.digest) ?? once(() => check(blob))
    checks.set(blob.digest, ask)
    return await ask()
  }
}

/** The offers for one layer: providers are asked one by one, each when the offers of those before it are used up. */
class LayerOffers {
  readonly #placed: Placed
  readonly #providers: BlobProvider[]
  readonly #offers: BlobOffer[] = []

  constructor(placed: Placed, providers: readonly BlobProvider[]) {
    this.#placed = placed
    this.#providers = [...providers]
  }

  async current(): Promise<BlobOffer | undefined> {
    await this.#find(1)
    return this.#offers[0]
  }

  async next(): Promise<BlobOffer | undefined> {
    await this.#find(2)
    if (this.#offers.length < 2) return undefined
    this.#offers.shift()
    return this.#offers[0]
  }

  async #find(count: number): Promise<void> {
    while (this.#offers.length < count) {
      const [provider] = this.#providers
      if (provider === undefined) return
      // Taken off once it has answered, so that it is asked again after a failure that may pass.
      this.#offers.push(...(await provider.offers(this.#placed)))
      this.#providers.shift()
    }
  }
}
