/**
 * Archives of `docker save`, as a source: those of docker before 25 (a directory for each layer), and those since (an OCI layout
 * with a manifest.json).
 */
import { createHash } from 'node:crypto'
import { hasCode, LayercastError } from '../../errors.ts'
import { parseConfig } from '../../image/config.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { digestBytes, isDigest, type Digest } from '../../image/digest.ts'
import { Field } from '../../image/fields.ts'
import { MAX_DOCUMENT_BYTES, parseJSON } from '../../image/json.ts'
import { MEDIA_TYPE } from '../../image/media-type.ts'
import { normalizeReference } from '../../image/reference.ts'
import type { Range } from '../../node/ports.ts'
import { verifiedUnlessPart } from '../../node/verified.ts'
import { choose } from './choose.ts'
import { blobNotFound, invalid } from './errors.ts'
import { readSmall, type Files } from './files.ts'
import { compressionOf } from './inflate.ts'
import type { ImageSource } from './source.ts'
import type { Choice } from './spec.ts'

const LAYER_TYPE = 'application/vnd.docker.image.rootfs.diff.tar'

/** One image as manifest.json names it. */
interface Saved {
  config: string
  layers: string[]
}

/**
 * One image of an archive that `docker save` wrote. The image closes the files. The archive has no manifest of it, so one is
 * made: byte for byte the one that `ctr images import` makes, where the layers are plain or gzip. Layers are described as they
 * are in the archive, mostly uncompressed. Errors: SOURCE_INVALID, IMAGE_NOT_FOUND, MEDIA_TYPE_UNSUPPORTED, and those of the
 * config parser.
 */
export async function openDockerArchive(spec: string, files: Files, choice: Choice): Promise<ImageSource> {
  const { image, names, asked } = choose(files.what, await readManifestJSON(files), choice, sameReference)
  const configBytes = await readSmall(files, image.config, limited(files, image.config))
  if (configBytes === undefined) throw invalid(files.what, `has no ${image.config}, which its manifest.json names`)
  const config = { mediaType: MEDIA_TYPE.dockerConfig, digest: digestBytes(configBytes), size: configBytes.length }
  const { diffIDs } = parseConfig(configBytes).rootfs
  if (diffIDs.length !== image.layers.length) {
    throw invalid(files.what, `has ${image.layers.length} layers where its config has ${diffIDs.length} diff IDs`)
  }
  const paths = new Map<Digest, string>([[config.digest, image.config]])
  const layers: Pick<Descriptor, 'mediaType' | 'size' | 'digest'>[] = []
  for (const [n, path] of image.layers.entries()) {
    const layer = await describeLayer(files, path, diffIDs[n] as Digest)
    layers.push(layer)
    paths.set(layer.digest, path)
  }
  const manifest = new TextEncoder().encode(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.dockerManifest, config, layers }),
  )
  const target = { mediaType: MEDIA_TYPE.dockerManifest, digest: digestBytes(manifest), size: manifest.length }

  async function* read(descriptor: Descriptor, range: Range = {}): AsyncGenerator<Uint8Array> {
    const { offset = 0, length = manifest.length } = range
    if (descriptor.digest === target.digest) {
      yield manifest.slice(offset, offset + length)
      return
    }
    const path = paths.get(descriptor.digest)
    if (path === undefined) throw blobNotFound(files.what, descriptor)
    yield* verifiedUnlessPart(files.read(path, range), descriptor, range)
  }
  return {
    spec,
    reference: referenceOf(asked ?? names[0]),
    target,
    read,
    has: async (digest) => digest === target.digest || paths.has(digest),
    close: () => files.close(),
  }
}

function referenceOf(name: string | undefined): string | undefined {
  return name === undefined ? undefined : normalizeReference(name)
}

async function readManifestJSON(files: Files): Promise<{ image: Saved; names: string[] }[]> {
  const what = 'manifest.json'
  const bytes = await readSmall(files, what, limited(files, what))
  if (bytes === undefined) {
    throw invalid(
      files.what,
      'is not a docker archive: it has no manifest.json',
      'Write oci-archive:FILE for an OCI layout; docker before 1.10 wrote archives that nothing reads any more.',
    )
  }
  return new Field(parseJSON(bytes, { what }), what).items().map((entry) => ({
    image: {
      config: entry.get('Config').string(),
      layers: entry
        .get('Layers')
        .items()
        .map((layer) => layer.string()),
    },
    names: entry
      .get('RepoTags')
      .items()
      .map((tag) => tag.string()),
  }))
}

/**
 * The descriptor of a layer as it is in the archive. The digest of an uncompressed layer is its diff ID, and a blob of a layout
 * is named by its digest; neither is checked before the layer is read. Any other file has to be hashed.
 */
async function describeLayer(
  files: Files,
  path: string,
  diffID: Digest,
): Promise<Pick<Descriptor, 'mediaType' | 'size' | 'digest'>> {
  const size = await files.size(path)
  if (size === undefined) throw invalid(files.what, `has no ${path}, which its manifest.json names`)
  const compression = compressionOf(await firstBytes(files, path))
  if (compression === undefined) return { mediaType: LAYER_TYPE, digest: diffID, size }
  if ('tool' in compression) {
    throw new LayercastError('MEDIA_TYPE_UNSUPPORTED', `the layer ${path} is compressed with ${compression.name}`, {
      fix: 'Save the image again with a present-day tool, which uses gzip, zstd or nothing.',
      detail: { path },
    })
  }
  const named = path.replace(/^(?:\.\/)?blobs\/([^/]+)\/([^/]+)$/, '$1:$2')
  const digest = isDigest(named) ? named : await hashFile(files, path)
  return { mediaType: `${LAYER_TYPE}.${compression.name}`, digest, size }
}

async function firstBytes(files: Files, path: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of files.read(path, { offset: 0, length: 8 })) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function hashFile(files: Files, path: string): Promise<Digest> {
  const hash = createHash('sha256')
  for await (const chunk of files.read(path)) hash.update(chunk)
  return `sha256:${hash.digest('hex')}` as Digest
}

function limited(files: Files, path: string): (size: number) => void {
  return (size) => {
    if (size > MAX_DOCUMENT_BYTES) throw invalid(files.what, `has a ${path} of ${size} bytes`)
  }
}

function sameReference(name: string, wanted: string): boolean {
  if (name === wanted) return true
  try {
    return normalizeReference(name) === normalizeReference(wanted)
  } catch (error) {
    // A text that is no reference is not another spelling of one.
    if (hasCode(error, 'REFERENCE_INVALID', 'DIGEST_INVALID')) return false
    throw error
  }
}
