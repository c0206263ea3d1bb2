import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { faultOf, hasBytes } from '../../node/blob-fault.ts'
import { infoOrNone } from '../../node/or-none.ts'
import type { Backend } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { parseSpec } from '../sources/spec.ts'
import { snapshotterProvider } from './from-snapshotter.ts'
import { sourceProvider, REGISTRY } from './from-source.ts'
import { standInProvider } from './stand-in.ts'
import type { BlobProviderOptions, BlobOffer, Complain, Placed, Provide, BlobProvider } from './types.ts'

export interface BlobProvidersOptions {
  backend: Backend
  plan: Plan
  blobs?: BlobProviderOptions | undefined
  provide?: Provide | undefined
  signal: AbortSignal
}

/** By which ways each missing layer may come, in their order, and which one it is now. */
export interface BlobProviders {
  /**
   * Whether the content store has the blob, and its last byte. Where the user named sources, its bytes are held against its
   * digest, once: one that is damaged counts as missing then, and is replaced by what a source has.
   */
  held(blob: Descriptor): Promise<boolean>
  /** The way for this layer; undefined where there is none, or none is left. */
  current(placed: Placed): Promise<BlobOffer | undefined>
  /** Gives the present way of this layer up for the next one; where there is none it stays, and the answer is undefined. */
  next(placed: Placed): Promise<BlobOffer | undefined>
  /** Why ways that the user named do not help, in words; each once. */
  problems(): string[]
  /** The errors among those reasons. */
  causes(): unknown[]
  /** What those errors say is to be done; each once. */
  fixes(): string[]
  close(): Promise<void>
}

/**
 * The ways to missing blobs, in their order: another blob of the same diff ID, the sources that the user named, whoever
 * started the run, another snapshotter. Nothing is opened before a layer is asked for, and no way before those above it
 * have failed. SOURCE_INVALID for what is no source; USAGE and TREE_NOT_ON_NODE for a snapshotter that cannot serve.
 */
export function createBlobProviders(options: BlobProvidersOptions): BlobProviders {
  const { backend, plan, blobs = {}, provide, signal } = options
  const problems = new Map<string, unknown>()
  const complain: Complain = (text, cause) => void problems.set(text, cause)
  const { sources = [], fromSnapshotter } = blobs
  for (const spec of sources) if (spec !== REGISTRY) parseSpec(spec)
  const providers: readonly BlobProvider[] = [
    standInProvider(backend),
    ...sources.map((spec) => sourceProvider(spec, { backend, plan, signal, complain })),
    ...(provide === undefined ? [] : [provided(provide)]),
    ...(fromSnapshotter === undefined ? [] : [snapshotterProvider({ backend, plan, from: fromSnapshotter, complain })]),
  ]
  const layers = new Map<string, LayerOffers>()
  const checks = new Map<Digest, Promise<boolean>>()
  const check = async (blob: Descriptor): Promise<boolean> => {
    const { content } = backend
    if ((await infoOrNone(content, blob.digest)) === undefined) return false
    const fault =
      sources.length > 0
        ? await faultOf(content, blob, signal)
        : (await hasBytes(content, blob.digest))
          ? undefined
          : 'has lost its bytes, or the last of them'
    if (fault !== undefined) complain(`blob ${blob.digest} of the content store ${fault}`)
    return fault === undefined
  }
  const of = (placed: Placed): LayerOffers => {
    // Not by the blob: the same layer twice in one image is made again out of different snapshots.
    const known = layers.get(placed.layer.chainID) ?? new LayerOffers(placed, providers)
    layers.set(placed.layer.chainID, known)
    return known
  }
  return {
    async held(blob) {
      if (sources.length === 0) return await check(blob)
      const checked = checks.get(blob.digest) ?? check(blob)
      checks.set(blob.digest, checked)
      checked.catch(() => checks.delete(blob.digest))
      return await checked
    },
    current: (placed) => of(placed).current(),
    next: (placed) => of(placed).next(),
    problems: () => [...problems.keys()],
    causes: () => [...problems.values()].filter((cause) => cause !== undefined),
    fixes: () => [...new Set([...problems.values()].flatMap((cause) => fixOf(cause) ?? []))],
    async close() {
      for (const way of providers) await way.close?.()
    },
  }
}

function fixOf(cause: unknown): string | undefined {
  return cause instanceof LayercastError ? cause.fix : undefined
}

class LayerOffers {
  readonly #placed: Placed
  readonly #left: BlobProvider[]
  readonly #found: BlobOffer[] = []

  constructor(placed: Placed, providers: readonly BlobProvider[]) {
    this.#placed = placed
    this.#left = [...providers]
  }

  async current(): Promise<BlobOffer | undefined> {
    await this.#find(1)
    return this.#found[0]
  }

  async next(): Promise<BlobOffer | undefined> {
    await this.#find(2)
    if (this.#found.length < 2) return undefined
    this.#found.shift()
    return this.#found[0]
  }

  async #find(count: number): Promise<void> {
    for (let way = this.#left[0]; this.#found.length < count && way !== undefined; way = this.#left[0]) {
      // Taken off only once it has answered, so that it is asked again after a failure that may pass.
      this.#found.push(...(await way.find(this.#placed)))
      this.#left.shift()
    }
  }
}

function provided(provide: Provide): BlobProvider {
  return {
    async find({ layer: { descriptor } }) {
      const fetch: BlobOffer['fetch'] = async (into, signal) => {
        await provide(descriptor, into, signal)
        return descriptor
      }
      return [{ origin: { from: 'provided' }, blob: descriptor, fetch }]
    },
  }
}
