/** Builds small real images: blobs, manifest and index with true digests. */
import { createHash } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import type { Digest } from '../../../functions/image/digest.ts'
import type { TarEntry } from './entries.ts'
import { writeTar } from './tar.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

export interface ImageOptions {
  /** Bottom first. A layer may also be given as the bytes of its uncompressed tar. */
  layers: readonly (readonly TarEntry[] | Uint8Array)[]
  /** One for all layers, or one for each; 'gzip' by default. */
  compression?: Compression | readonly Compression[]
  /** The layers' blobs, by their place, where another tool has compressed the tars. */
  blobs?: readonly Uint8Array[]
  /** 'oci' by default. */
  mediaTypes?: 'oci' | 'docker'
  /** linux/amd64 by default. */
  platform?: { os: string; architecture: string; variant?: string; 'os.features'?: string[] }
  /** Annotations of the manifest. */
  annotations?: Record<string, string>
  /** Annotations of the layers' descriptors, by their place. */
  layerAnnotations?: readonly Record<string, string>[]
  /** The `config` part of the image's config: Env, Cmd, Entrypoint and so on. */
  config?: Record<string, unknown>
}

export interface BuiltImage {
  manifest: Descriptor
  config: Descriptor
  layers: Descriptor[]
  manifestBytes: Uint8Array
  configBytes: Uint8Array
  /** An index of this one manifest, as an OCI layout has it. */
  indexBytes: Uint8Array
  /** The uncompressed tar of each layer. */
  tars: Uint8Array[]
  diffIDs: Digest[]
  chainIDs: Digest[]
  /** All blobs by digest: manifest, config and layers. */
  blobs: Map<Digest, Uint8Array>
}

const OCI = 'application/vnd.oci.image'
const DOCKER = 'application/vnd.docker'
export const MEDIA_TYPES = {
  oci: {
    index: `${OCI}.index.v1+json`,
    manifest: `${OCI}.manifest.v1+json`,
    config: `${OCI}.config.v1+json`,
    layer: {
      none: `${OCI}.layer.v1.tar`,
      gzip: `${OCI}.layer.v1.tar+gzip`,
      zstd: `${OCI}.layer.v1.tar+zstd`,
    },
  },
  docker: {
    index: `${DOCKER}.distribution.manifest.list.v2+json`,
    manifest: `${DOCKER}.distribution.manifest.v2+json`,
    config: `${DOCKER}.container.image.v1+json`,
    layer: {
      none: `${DOCKER}.image.rootfs.diff.tar`,
      gzip: `${DOCKER}.image.rootfs.diff.tar.gzip`,
      zstd: `${DOCKER}.image.rootfs.diff.tar.zstd`,
    },
  },
} as const

/** The digest by Node's own crypto: a second opinion on what the project computes. */
export const digestOf = (data: Uint8Array | string, algorithm = 'sha256'): Digest =>
  `${algorithm}:${createHash(algorithm).update(data).digest('hex')}` as Digest

/** A descriptor of these bytes. */
export function describe(data: Uint8Array, mediaType: string, annotations?: Record<string, string>): Descriptor {
  return { mediaType, digest: digestOf(data), size: data.length, ...(annotations ? { annotations } : {}) }
}

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

function compress(data: Uint8Array, compression: Compression): Uint8Array {
  if (compression === 'gzip') return gzipSync(data, { level: 6 })
  return compression === 'zstd' ? zstdCompressSync(data) : data
}

/** Chain IDs of these diff IDs (image-spec, "Layer ChainID"), computed apart from the project's core. */
export function chainOf(diffIDs: readonly Digest[]): Digest[] {
  const chain: Digest[] = []
  for (const diffID of diffIDs) {
    const below = chain.at(-1)
    chain.push(below === undefined ? diffID : digestOf(`${below} ${diffID}`))
  }
  return chain
}

/** Builds an image. The same options give the same bytes. */
export function buildImage(options: ImageOptions): BuiltImage {
  const types = MEDIA_TYPES[options.mediaTypes ?? 'oci']
  const platform = options.platform ?? { os: 'linux', architecture: 'amd64' }
  const blobs = new Map<Digest, Uint8Array>()
  const keep = (data: Uint8Array, mediaType: string, annotations?: Record<string, string>): Descriptor => {
    const descriptor = describe(data, mediaType, annotations)
    blobs.set(descriptor.digest, data)
    return descriptor
  }

  const tars = options.layers.map((layer) => (layer instanceof Uint8Array ? layer : writeTar(layer)))
  const layers = tars.map((tar, n) => {
    const { compression = 'gzip' } = options
    const how = typeof compression === 'string' ? compression : (compression[n] ?? 'gzip')
    return keep(options.blobs?.[n] ?? compress(tar, how), types.layer[how], options.layerAnnotations?.[n])
  })
  const diffIDs = tars.map((tar) => digestOf(tar))

  const configBytes = json({
    created: '2024-01-02T03:04:05Z',
    ...platform,
    config: options.config ?? {},
    rootfs: { type: 'layers', diff_ids: diffIDs },
    history: tars.map((_, n) => ({ created: '2024-01-02T03:04:05Z', created_by: `layer ${n}` })),
  })
  const config = keep(configBytes, types.config)
  const manifestBytes = json({
    schemaVersion: 2,
    mediaType: types.manifest,
    config,
    layers,
    ...(options.annotations ? { annotations: options.annotations } : {}),
  })
  const manifest = keep(manifestBytes, types.manifest)
  const indexBytes = json({
    schemaVersion: 2,
    mediaType: types.index,
    manifests: [{ ...manifest, platform }],
  })
  const chainIDs = chainOf(diffIDs)
  return { manifest, config, layers, manifestBytes, configBytes, indexBytes, tars, diffIDs, chainIDs, blobs }
}

/** An index over several images, one for each platform, with all their blobs. */
export function buildIndex(
  images: readonly {
    image: BuiltImage
    platform?: { os: string; architecture: string; variant?: string; 'os.features'?: string[] }
  }[],
  mediaTypes: 'oci' | 'docker' = 'oci',
): { index: Descriptor; indexBytes: Uint8Array; blobs: Map<Digest, Uint8Array> } {
  const indexBytes = json({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES[mediaTypes].index,
    manifests: images.map(({ image, platform }) => ({ ...image.manifest, ...(platform ? { platform } : {}) })),
  })
  const index = describe(indexBytes, MEDIA_TYPES[mediaTypes].index)
  const blobs = new Map<Digest, Uint8Array>([[index.digest, indexBytes]])
  for (const { image } of images) for (const [digest, data] of image.blobs) blobs.set(digest, data)
  return { index, indexBytes, blobs }
}

/**
 * The image with other documents over the same layers: its config and manifest changed, and all digests above made to fit.
 * @param change.config merged into the config
 * @param change.configDescriptor merged into the manifest's descriptor of the config, after its digest and size
 * @param change.manifest merged into the manifest
 */
export function withDocuments(
  image: BuiltImage,
  change: { config?: object; configDescriptor?: object; manifest?: object },
): BuiltImage {
  const parse = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as object
  const configBytes = json({ ...parse(image.configBytes), ...change.config })
  const config = { ...describe(configBytes, image.config.mediaType), ...change.configDescriptor }
  const manifestBytes = json({ ...parse(image.manifestBytes), config, ...change.manifest })
  const manifest = describe(manifestBytes, image.manifest.mediaType)
  const blobs = new Map(image.blobs)
  blobs.set(config.digest, configBytes)
  blobs.set(manifest.digest, manifestBytes)
  return { ...image, config, configBytes, manifest, manifestBytes, blobs }
}
