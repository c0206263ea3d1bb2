/** The media types of images. Which are layers is decided as in containerd, so that a plan has just the layers that it unpacks. */

export const MEDIA_TYPE = {
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
} as const

const OCI_LAYER_PREFIX = 'application/vnd.oci.image.layer.'
const EROFS_LAYER = 'application/vnd.erofs.layer.v1'
const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar'
const DOCKER_FOREIGN_LAYER = 'application/vnd.docker.image.rootfs.foreign.diff.tar'
const DOCKER_LAYERS: readonly string[] = [
  DOCKER_LAYER,
  `${DOCKER_LAYER}.gzip`,
  `${DOCKER_LAYER}.zstd`,
  DOCKER_FOREIGN_LAYER,
  `${DOCKER_FOREIGN_LAYER}.gzip`,
]
const SCHEMA1: readonly string[] = [
  'application/vnd.docker.distribution.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
]

export type Compression = 'none' | 'gzip' | 'zstd' | 'unknown'

/** Whether this is an image manifest: OCI, or docker's version 2 schema 2. */
export function isManifest(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.dockerManifest || mediaType === MEDIA_TYPE.ociManifest
}

/** Whether this is an OCI image index or a docker manifest list. */
export function isIndex(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.dockerIndex || mediaType === MEDIA_TYPE.ociIndex
}

/** Whether this is an image's configuration. Under any other config type containerd unpacks nothing, with success. */
export function isConfig(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.dockerConfig || mediaType === MEDIA_TYPE.ociConfig
}

/**
 * Whether a config of this type may still be an image's: docker of 2015 pushed configs without a type. The content decides.
 * containerd unpacks nothing of such an image.
 */
export function isUntypedConfig(mediaType: string): boolean {
  return mediaType === 'application/octet-stream'
}

/** Whether this is a docker schema 1 manifest, signed or not. */
export function isSchema1(mediaType: string): boolean {
  return SCHEMA1.includes(mediaType)
}

/**
 * Whether containerd unpacks an entry of this type as a layer; it ignores the others. As in containerd, types that are not
 * OCI's are compared without the suffix after `+`.
 */
export function isLayer(mediaType: string): boolean {
  const base = baseOf(mediaType)
  return mediaType.startsWith(OCI_LAYER_PREFIX) || base === EROFS_LAYER || isDockerLayer(base)
}

/** Whether the layer is an EROFS image, and not an archive. */
export function isErofsLayer(mediaType: string): boolean {
  return baseOf(mediaType) === EROFS_LAYER
}

/** Whether the layer is encrypted (ocicrypt's `+encrypted` suffix). */
export function isEncrypted(mediaType: string): boolean {
  return suffixes(mediaType).includes('encrypted')
}

/**
 * How a layer is compressed, by its media type. `unknown` means that the bytes decide: docker's types without a suffix are used
 * for compressed layers too.
 */
export function layerCompression(mediaType: string): Compression {
  const base = baseOf(mediaType)
  if (base === DOCKER_LAYER || base === DOCKER_FOREIGN_LAYER) return 'unknown'
  if (base.endsWith('.gzip') && isDockerLayer(base)) return 'gzip'
  if (base.endsWith('.zstd') && isDockerLayer(base)) return 'zstd'
  if (!isLayer(base)) return 'unknown'
  const found = suffixes(mediaType)
  if (found.includes('gzip')) return 'gzip'
  return found.includes('zstd') ? 'zstd' : 'none'
}

function baseOf(mediaType: string): string {
  return mediaType.split('+', 1)[0] ?? ''
}

function isDockerLayer(mediaType: string): boolean {
  return DOCKER_LAYERS.includes(mediaType)
}

function suffixes(mediaType: string): string[] {
  return mediaType.split('+').slice(1)
}
