/** The provider over one source that the user named: a layout, an archive, a registry. */
import { LayercastError } from '../../errors.ts'
import { parseConfig } from '../../image/config.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { parseManifest } from '../../image/manifest.ts'
import { isLayer } from '../../image/media-type.ts'
import { orAborted } from '../../kit/abort.ts'
import { once } from '../../kit/once.ts'
import type { Backend } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { sourceDocuments } from '../content/documents.ts'
import { registrySources } from '../content/registry-labels.ts'
import type { ImageSource } from '../sources/source.ts'
import { isArchive, sniffed } from './blob.ts'
import type { Placed } from './placed.ts'
import { storeFromSource } from './store-from-source.ts'
import type { BlobOffer, BlobProvider, Complain } from './types.ts'

/** Stands for the registries that the labels of the image's blobs name. */
export const REGISTRY = 'registry'

interface SourceProviderOptions {
  backend: Backend
  plan: Plan
  signal: AbortSignal
  complain: Complain
}

/**
 * The provider over a source as the user spelt it. The source is opened when the first layer is looked for, and a blob is
 * read when its layer's turn comes. A source that cannot be opened or asked is complained of, and offers nothing.
 */
export function sourceProvider(spec: string, options: SourceProviderOptions): BlobProvider {
  return spec === REGISTRY ? registryProvider(options) : new SourceProvider(spec, options)
}

/** The registries that the labels of the image's blobs name, asked in their order. */
function registryProvider(options: SourceProviderOptions): BlobProvider {
  const { backend, complain, plan } = options
  let registries: SourceProvider[] = []
  const find = once(async () => {
    const { reference, manifest, config, layers } = plan
    const blobs = [manifest, config, ...layers.map((layer) => layer.descriptor)].map(({ digest }) => digest)
    const specs = await registrySources(backend, { reference, target: manifest.digest, blobs })
    if (specs.length === 0) complain('no blob of the image says which registry it came from')
    registries = specs.map((spec) => new SourceProvider(spec, options))
    return registries
  })
  return {
    async offers(placed) {
      for (const registry of await find()) {
        const offers = await registry.offers(placed)
        if (offers.length > 0) return offers
      }
      return []
    },
    async close() {
      for (const registry of registries) await registry.close()
    },
  }
}

class SourceProvider implements BlobProvider {
  readonly #spec: string
  readonly #options: SourceProviderOptions
  #source: Promise<ImageSource | undefined> | undefined
  #others: Promise<ReadonlyMap<Digest, Descriptor>> | undefined

  constructor(spec: string, options: SourceProviderOptions) {
    this.#spec = spec
    this.#options = options
  }

  async offers({ layer: { descriptor, diffID } }: Placed): Promise<BlobOffer[]> {
    const source = await (this.#source ??= this.#open())
    if (source === undefined) return []
    const has = await this.#try(() => source.has(descriptor.digest))
    const from = { from: 'source', spec: this.#spec } as const
    if (has === true) return [offer(from, source, descriptor)]
    if (!isArchive(descriptor)) return []
    // An archive of docker's holds layers uncompressed; a registry or a layout may hold the image compressed otherwise.
    this.#others ??= this.#layersOf(source)
    const other = (await this.#others).get(diffID)
    if (other === undefined || other.digest === descriptor.digest) return []
    if ((await this.#try(() => source.has(other.digest))) !== true) return []
    const blob = sniffed(other)
    return [offer({ ...from, digest: blob.digest }, source, blob)]
  }

  async close(): Promise<void> {
    // Why it did not open was thrown to whoever asked for a layer.
    const source = await this.#source?.catch(() => undefined)
    await source?.close()
  }

  #open(): Promise<ImageSource | undefined> {
    return this.#try(async () => {
      // Loaded on demand: a run that lacks no blob needs neither archives nor registries.
      const { openSource } = await import('../sources/open.ts')
      const opening = openSource(this.#spec, this.#options.backend)
      const { signal } = this.#options
      // Nobody else closes a source that opens after the run was stopped.
      void opening.then(
        (source) => (signal.aborted ? source.close() : undefined),
        () => undefined,
      )
      return await opening
    })
  }

  /** The archives among the layers of the source's own image, by diff ID. */
  async #layersOf(source: ImageSource): Promise<ReadonlyMap<Digest, Descriptor>> {
    const found = await this.#try(async () => {
      const { platform } = this.#options.plan
      const { manifest, config } = await sourceDocuments((blob) => source.read(blob))(source.target, platform)
      const { layers } = parseManifest(manifest.bytes, manifest.descriptor.mediaType)
      const known = layers.filter((layer) => isLayer(layer.mediaType))
      const { diffIDs } = parseConfig(config.bytes).rootfs
      if (diffIDs.length !== known.length) return []
      return known.map((layer, index) => [diffIDs[index] as Digest, layer] as const)
    })
    return new Map((found ?? []).filter(([, layer]) => isArchive(layer)))
  }

  /** The source's answer; undefined, with a complaint, where it fails. ABORTED and INTERNAL are thrown. */
  async #try<T>(ask: () => Promise<T>): Promise<T | undefined> {
    const { signal, complain } = this.#options
    try {
      return await orAborted(ask(), signal)
    } catch (error) {
      if (!(error instanceof LayercastError) || error.code === 'ABORTED' || error.code === 'INTERNAL') throw error
      complain(`${this.#spec}: ${error.message}`, error)
      return undefined
    }
  }
}

function offer(origin: BlobOffer['origin'], source: ImageSource, blob: Descriptor): BlobOffer {
  return {
    origin,
    blob,
    async fetch(into, signal) {
      await storeFromSource(source, blob, into.content, signal)
      return blob
    },
  }
}
