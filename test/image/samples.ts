import { digestBytes } from '../../functions/image/digest.ts'
import { MEDIA_TYPE } from '../../functions/image/media-type.ts'
import { json, utf8 } from './bytes.ts'

/** Documents of images that exist nowhere else, for tests. */

export const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

/** A digest that stands for some content. */
export function sampleDigest(name: string, algorithm: 'sha256' | 'sha384' | 'sha512' = 'sha256') {
  return digestBytes(utf8(name), algorithm)
}

export function sampleLayer(name: string, more: object = {}) {
  return { mediaType: LAYER, digest: sampleDigest(name), size: 1000 + name.length, ...more }
}

export interface SampleOptions {
  /** The manifest's children. */
  layers?: readonly object[]
  diffIDs?: readonly unknown[]
  /** Merged into the config, the config's descriptor, and the manifest. */
  config?: object
  configDescriptor?: object
  manifest?: object
}

/** An image's manifest and config, as bytes that belong together. */
export function sampleImage(options: SampleOptions = {}) {
  const layers = options.layers ?? ['one', 'two', 'three'].map((name) => sampleLayer(name))
  const diffIDs = options.diffIDs ?? layers.map((_, index) => sampleDigest(`diff ${index}`))
  const config = json({
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: diffIDs },
    ...options.config,
  })
  const descriptor = {
    mediaType: MEDIA_TYPE.ociConfig,
    digest: digestBytes(config),
    size: config.length,
    ...options.configDescriptor,
  }
  const manifest = json({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: descriptor,
    layers,
    ...options.manifest,
  })
  return { manifest, config }
}
