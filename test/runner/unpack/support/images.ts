import { readFile } from 'node:fs/promises'
import type { Digest } from '../../../../functions/image/digest.ts'
import { dir, file, hardlink, opaque, symlink, whiteout } from '../../../support/images/entries.ts'
import { buildImage, describe as descriptorOf, digestOf, type BuiltImage } from '../../../support/images/image.ts'

/** Three small layers: the upper ones add, replace, delete and hide what is below. */
export function smallImage(seed = ''): BuiltImage {
  return buildImage({
    layers: [
      [
        dir('etc', { mode: 0o755 }),
        file('etc/motd', `hello ${seed}`, { mode: 0o640, uid: 7, gid: 8, mtime: 1_600_000_000 }),
        file('etc/gone', 'deleted above'),
        dir('var'),
        file('var/hidden', 'under an opaque directory'),
      ],
      [
        whiteout('etc/gone'),
        file('etc/new', `new ${seed}`),
        symlink('etc/link', 'motd'),
        hardlink('etc/hard', 'etc/new'),
      ],
      [
        dir('var', { mtime: 1_600_000_002 }),
        opaque('var'),
        dir('etc', { mode: 0o711, mtime: 1_600_000_003 }),
        file('var/seen', `seen ${seed}`),
        file('etc/motd', 'replaced', { mode: 0o4755 }),
      ],
    ],
    compression: ['gzip', 'none', 'gzip'],
  })
}

/** An image that starts: Debian's static busybox, and a file of the upper layer. */
export async function busyboxImage(): Promise<BuiltImage> {
  return buildImage({
    layers: [
      [dir('bin'), file('bin/busybox', await readFile('/bin/busybox'), { mode: 0o755 })],
      [symlink('bin/cat', 'busybox'), dir('etc'), file('etc/greeting', 'from the upper layer')],
    ],
    config: { Entrypoint: ['/bin/cat'], Cmd: ['/etc/greeting'], Env: ['PATH=/bin'] },
  })
}

/** The image with another diff ID than the true one in its config, and all digests above it made to fit. */
export function withWrongDiffID(image: BuiltImage, index: number): BuiltImage {
  const wrong = digestOf('no such layer')
  const diffIDs = image.diffIDs.map((diffID, n) => (n === index ? wrong : diffID))
  const config = JSON.parse(new TextDecoder().decode(image.configBytes)) as { rootfs: object }
  const configBytes = encode({ ...config, rootfs: { type: 'layers', diff_ids: diffIDs } })
  const newConfig = descriptorOf(configBytes, image.config.mediaType)
  const manifest = JSON.parse(new TextDecoder().decode(image.manifestBytes)) as object
  const manifestBytes = encode({ ...manifest, config: newConfig })
  const newManifest = descriptorOf(manifestBytes, image.manifest.mediaType)
  const blobs = new Map<Digest, Uint8Array>(image.blobs)
  blobs.set(newConfig.digest, configBytes)
  blobs.set(newManifest.digest, manifestBytes)
  return { ...image, diffIDs, config: newConfig, configBytes, manifest: newManifest, manifestBytes, blobs }
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}
