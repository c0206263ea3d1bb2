import { LayercastError } from '../../errors.ts'
/** Sources that the user names for missing blobs. */
import { parseConfig } from '../../image/config.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import { parseManifest } from '../../image/manifest.ts'
import { isLayer } from '../../image/media-type.ts'
import { checkAborted, orAborted } from '../../kit/abort.ts'
import type { Backend, Labels } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { sourceLabel } from '../../plan/gc-labels.ts'
import { sourceDocuments } from '../content/documents.ts'
import { registrySources } from '../content/registry-labels.ts'
import { storeWhole } from '../content/store-whole.ts'
import type { ImageSource } from '../sources/source.ts'
import { isRegistrySpec } from '../sources/spec.ts'
import { isArchive, sniffed } from './blob.ts'
import type { BlobOffer, Complain, Placed, BlobProvider } from './types.ts'

/** The word for the registry that the image's blobs say that they came from. */
export const REGISTRY = 'registry'

export interface SourcesOptions {
  backend: Backend
  plan: Plan
  signal: AbortSignal
  complain: Complain
}

/**
 * A way over one source as the user spelt it. It is opened once a layer is looked for, and read when that layer's turn
 * comes. A source that cannot be opened or asked is complained of, and has nothing.
 */
export function sourceProvider(spec: string, options: SourcesOptions): BlobProvider {
  if (spec !== REGISTRY) return new SourceProvider(spec, options)
  let providers: Promise<SourceProvider[]> | undefined
  const open = async (): Promise<SourceProvider[]> => {
    const { reference, manifest, config, layers } = options.plan
    const blobs = [manifest, config, ...layers.map((layer) => layer.descriptor)].map(({ digest }) => digest)
    const specs = await registrySources(options.backend, { reference, target: manifest.digest, blobs })
    if (specs.length === 0) options.complain('no blob of the image says which registry it came from')
    return specs.map((one) => new SourceProvider(one, options))
  }
  return {
    async find(placed) {
      providers ??= open()
      const all = await providers.catch((error: unknown) => {
        providers = undefined
        throw error
      })
      for (const way of all) {
        const found = await way.find(placed)
        if (found.length > 0) return found
      }
      return []
    },
    async close() {
      for (const way of (await providers) ?? []) await way.close()
    },
  }
}

class SourceProvider implements BlobProvider {
  readonly #spec: string
  readonly #options: SourcesOptions
  #source: Promise<ImageSource | undefined> | undefined
  #others: Promise<ReadonlyMap<Digest, Descriptor>> | undefined

  constructor(spec: string, options: SourcesOptions) {
    this.#spec = spec
    this.#options = options
  }

  async find({ layer: { descriptor, diffID } }: Placed): Promise<BlobOffer[]> {
    const source = await (this.#source ??= this.#open())
    if (source === undefined) return []
    const has = await this.#try(() => source.has(descriptor.digest))
    const from = { from: 'source', spec: this.#spec } as const
    if (has === true) return [{ origin: from, blob: descriptor, fetch: this.#fetch(source, descriptor) }]
    if (!isArchive(descriptor)) return []
    // An archive of docker's has layers uncompressed; a registry or layout may have the image compressed otherwise.
    this.#others ??= this.#layersOf(source)
    const other = (await this.#others).get(diffID)
    if (other === undefined || other.digest === descriptor.digest) return []
    if ((await this.#try(() => source.has(other.digest))) !== true) return []
    const blob = sniffed(other)
    return [{ origin: { ...from, digest: blob.digest }, blob, fetch: this.#fetch(source, blob) }]
  }

  async close(): Promise<void> {
    await (await this.#source)?.close()
  }

  #open(): Promise<ImageSource | undefined> {
    return this.#try(async () => {
      // Loaded when asked for: archives and registries are of no use to a run that lacks nothing.
      const { openSource } = await import('../sources/open.ts')
      const opening = openSource(this.#spec, { backend: this.#options.backend })
      const { signal } = this.#options
      // One that comes when the run has been stopped is nobody's any more.
      void opening.then(
        (source) => (signal.aborted ? source.close() : undefined),
        () => undefined,
      )
      return await opening
    })
  }

  #fetch(source: ImageSource, blob: Descriptor): BlobOffer['fetch'] {
    return async (into, signal) => {
      const data = async function* () {
        for await (const chunk of source.read(blob)) {
          checkAborted(signal)
          yield chunk
        }
      }
      const reference = isRegistrySpec(this.#spec) ? source.reference : undefined
      const labels = (existing: Labels) => (reference === undefined ? {} : sourceLabel(reference, existing))
      await storeWhole({ content: into.content, expected: blob, read: data, labels, signal })
      return blob
    }
  }

  /** The layers of the source's own image that are archives, by their diff IDs. */
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

  /** What the source says, or undefined with a complaint; a run that was stopped, and what is no answer, are thrown. */
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
