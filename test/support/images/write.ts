/** Puts built images on disk as the layouts and archives that other tools read. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import type { Digest } from '../../../functions/image/digest.ts'
import { dir, file, symlink, type TarEntry } from './entries.ts'
import { digestOf, MEDIA_TYPES, type BuiltImage } from './image.ts'
import { writeTar } from './tar.ts'

const REF_NAME = 'org.opencontainers.image.ref.name'
const LAYOUT = '{"imageLayoutVersion":"1.0.0"}'

/** One entry of a layout's index.json, with the blobs it needs. */
export interface LayoutEntry {
  target: Descriptor
  blobs: ReadonlyMap<Digest, Uint8Array>
  /** The tag; no annotation without one. */
  ref?: string
}

const entryOf = (image: BuiltImage, ref?: string): LayoutEntry => ({
  target: image.manifest,
  blobs: image.blobs,
  ...(ref === undefined ? {} : { ref }),
})

const hex = (digest: Digest): string => digest.replace(':', '/')

/** The files of an OCI layout (image-spec, "Image Layout") by path. */
function layoutFiles(entries: readonly LayoutEntry[]): Map<string, Uint8Array | string> {
  const manifests = entries.map(({ target, ref }) =>
    ref === undefined ? target : { ...target, annotations: { ...target.annotations, [REF_NAME]: ref } },
  )
  const files = new Map<string, Uint8Array | string>()
  files.set('oci-layout', LAYOUT)
  files.set('index.json', JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.oci.index, manifests }))
  for (const { blobs } of entries) for (const [digest, data] of blobs) files.set(`blobs/${hex(digest)}`, data)
  return files
}

async function writeFiles(files: Map<string, Uint8Array | string>, root: string): Promise<void> {
  for (const [path, data] of files) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), data)
  }
}

function archive(files: Map<string, Uint8Array | string>): Uint8Array {
  const parents = new Set<string>()
  for (const path of files.keys()) {
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) parents.add(path.slice(0, at))
  }
  const entries: TarEntry[] = [...parents].sort().map((path) => dir(path))
  return writeTar([...entries, ...[...files].map(([path, data]) => file(path, data))])
}

/** Writes an OCI layout of several entries: images, or indexes of images. */
export async function writeOciLayoutOf(entries: readonly LayoutEntry[], root: string): Promise<void> {
  await writeFiles(layoutFiles(entries), root)
}

/** Writes an OCI layout of one image. */
export async function writeOciLayout(image: BuiltImage, root: string, options: { ref?: string } = {}): Promise<void> {
  await writeOciLayoutOf([entryOf(image, options.ref)], root)
}

/** Writes an OCI layout of one image as a tar archive. */
export async function writeOciArchive(image: BuiltImage, path: string, options: { ref?: string } = {}): Promise<void> {
  await writeFile(path, archive(layoutFiles([entryOf(image, options.ref)])))
}

export interface DockerArchiveOptions {
  /** RepoTags; `example.com/test:1` by default. */
  tags?: string[]
  /** 'legacy' is `docker save` before 25 (one directory for each layer), 'oci' after it; 'legacy' by default. */
  style?: 'legacy' | 'oci'
}

/** Writes what `docker save` writes: layers uncompressed, manifest.json, and a symbolic link for a repeated layer. */
export async function writeDockerArchive(
  image: BuiltImage,
  path: string,
  options: DockerArchiveOptions = {},
): Promise<void> {
  const { tags = ['example.com/test:1'], style = 'legacy' } = options
  await writeFile(path, style === 'legacy' ? legacyArchive(image, tags) : modernArchive(image, tags))
}

function legacyArchive(image: BuiltImage, tags: string[]): Uint8Array {
  const config = `${image.config.digest.split(':')[1]}.json`
  const entries: TarEntry[] = [file(config, image.configBytes)]
  const seen = new Map<Digest, string>()
  const paths = image.tars.map((tar, n) => {
    const id = digestOf(`${n} ${image.chainIDs[n]}`).split(':')[1]
    const path = `${id}/layer.tar`
    entries.push(dir(`${id}`), file(`${id}/VERSION`, '1.0'), file(`${id}/json`, JSON.stringify({ id })))
    const diffID = digestOf(tar)
    const first = seen.get(diffID)
    entries.push(first === undefined ? file(path, tar) : symlink(path, `../${first}`))
    seen.set(diffID, first ?? path)
    return path
  })
  entries.push(file('manifest.json', JSON.stringify([{ Config: config, RepoTags: tags, Layers: paths }])))
  return writeTar(entries)
}

function modernArchive(image: BuiltImage, tags: string[]): Uint8Array {
  const layers = image.tars.map((tar, n) => ({
    mediaType: MEDIA_TYPES.oci.layer.none,
    digest: image.diffIDs[n] as Digest,
    size: tar.length,
  }))
  const config = { ...image.config, mediaType: MEDIA_TYPES.oci.config }
  const manifestBytes = new TextEncoder().encode(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.oci.manifest, config, layers }),
  )
  const target = { mediaType: MEDIA_TYPES.oci.manifest, digest: digestOf(manifestBytes), size: manifestBytes.length }
  const blobs = new Map<Digest, Uint8Array>([
    [target.digest, manifestBytes],
    [config.digest, image.configBytes],
  ])
  for (const [n, tar] of image.tars.entries()) blobs.set(image.diffIDs[n] as Digest, tar)
  const ref = tags[0]?.split(':').at(-1)
  const files = layoutFiles([{ target, blobs, ...(ref === undefined ? {} : { ref }) }])
  files.set(
    'manifest.json',
    JSON.stringify([
      {
        Config: `blobs/${hex(config.digest)}`,
        RepoTags: tags,
        Layers: layers.map((layer) => `blobs/${hex(layer.digest)}`),
      },
    ]),
  )
  return archive(files)
}
