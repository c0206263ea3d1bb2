/** The demo's image: an OCI image layout in a directory. */

import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { digestBytes } from '../image/digest.ts'
import { hostPlatform } from '../runner/images/host-platform.ts'
import { changesLayer, machineLayer, packageLayers } from './archives.ts'

/** Packages that become layers: dependencies of layercast of middle size. */
const PACKAGES = ['hono', 'zod', '@bufbuild/protobuf', 'commander', 'smol-toml'] as const

export interface Composed {
  /** What each layer is made of, in words, from the bottom up. */
  layers: string[]
}

/** Writes the image to a directory, which it removes first (OCI image-spec 1.1, "image-layout"). */
export async function composeImage(options: {
  checkout: string
  directory: string
  reference: string
}): Promise<Composed> {
  const { checkout, directory, reference } = options
  const archives = [await machineLayer(), ...(await packageLayers(checkout, PACKAGES)), await changesLayer()]
  await rm(directory, { recursive: true, force: true })
  await mkdir(join(directory, 'blobs', 'sha256'), { recursive: true })

  const store = async (
    mediaType: string,
    bytes: Uint8Array,
  ): Promise<{ mediaType: string; digest: string; size: number }> => {
    const digest = digestBytes(bytes)
    await writeFile(join(directory, 'blobs', ...digest.split(':')), bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const platform = hostPlatform()
  const layers = []
  for (const { mediaType, blob } of archives) layers.push(await store(mediaType, blob))
  const config = await store(
    'application/vnd.oci.image.config.v1+json',
    json({
      ...platform,
      config: { Cmd: ['/bin/sh'], Env: ['PATH=/usr/bin:/bin'], WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: archives.map(({ tar }) => digestBytes(tar)) },
      history: archives.map(({ what }) => ({ created_by: `layercast demo: ${what}` })),
    }),
  )
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = await store(mediaType, json({ schemaVersion: 2, mediaType, config, layers }))
  await writeFile(join(directory, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }))
  await writeFile(
    join(directory, 'index.json'),
    json({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [
        {
          ...manifest,
          platform,
          annotations: {
            'org.opencontainers.image.ref.name': reference.slice(reference.lastIndexOf(':') + 1),
            'io.containerd.image.name': reference,
          },
        },
      ],
    }),
  )
  return { layers: archives.map(({ what }) => what) }
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}
