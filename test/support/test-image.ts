/** Small image documents, made anew by number, so that no two tests mean the same digests by chance. */
import { digestBytes } from '../../functions/image/digest.ts'
import type { Digest } from '../../functions/image/digest.ts'

export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
export const INDEX = 'application/vnd.oci.image.index.v1+json'
export const CONFIG = 'application/vnd.oci.image.config.v1+json'

export interface TestImage {
  manifest: Uint8Array<ArrayBuffer>
  config: Uint8Array<ArrayBuffer>
  manifestDigest: Digest
  configDigest: Digest
}

/** An image of some layers. Two spaces of indentation: what re-serialising it would not keep. */
export function testImage(seed: number, options: { layers?: number; architecture?: string } = {}): TestImage {
  const { layers = 2, architecture = 'amd64' } = options
  const named = (what: string) => digestBytes(encode(`${what} ${seed}`))
  const each = Array.from({ length: layers }, (_, at) => at)
  const config = encode({
    architecture,
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: each.map((at) => named(`diff ${at}`)) },
  })
  const manifest = encode({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG, digest: digestBytes(config), size: config.byteLength },
    layers: each.map((at) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest: named(`blob ${at}`),
      size: 1000 + at,
    })),
  })
  return { manifest, config, manifestDigest: digestBytes(manifest), configDigest: digestBytes(config) }
}

/** An index over images by architecture. */
export function testIndex(images: Record<string, TestImage>): Uint8Array<ArrayBuffer> {
  const manifests = Object.entries(images).map(([architecture, { manifest, manifestDigest }]) => ({
    mediaType: MANIFEST,
    digest: manifestDigest,
    size: manifest.byteLength,
    platform: { os: 'linux', architecture },
  }))
  return encode({ schemaVersion: 2, mediaType: INDEX, manifests })
}

export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value, null, 2))
}
