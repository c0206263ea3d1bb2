/** Documents of an image without its layers. */
import { hash } from 'node:crypto'

const digest = (text: string): string => `sha256:${hash('sha256', text)}`

/** The manifest and the config of an image of 12 layers. */
export function imageFiles(): { manifest: string; config: string } {
  const numbers = Array.from({ length: 12 }, (_, i) => i)
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: numbers.map((i) => digest(`diff ${i}`)) },
  })
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digest(config),
      size: Buffer.byteLength(config),
    },
    layers: numbers.map((i) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest: digest(`layer ${i}`),
      size: 1000 + i,
    })),
  })
  return { manifest, config }
}
