/** An OCI layout (image-spec 1.1, "OCI Image Layout"), as a source. */
import type { Descriptor } from '../../image/descriptor.ts'
import { digestAlgorithm, type Digest } from '../../image/digest.ts'
import { Field } from '../../image/fields.ts'
import { parseIndex, type IndexEntry } from '../../image/image-index.ts'
import { MAX_DOCUMENT_BYTES, parseJSON } from '../../image/json.ts'
import type { Range } from '../../node/ports.ts'
import { verifiedUnlessPart } from '../../node/verified.ts'
import { choose } from './choose.ts'
import { blobNotFound, invalid } from './errors.ts'
import { readSmall, type Files } from './files.ts'
import type { ImageSource } from './source.ts'
import type { Choice } from './spec.ts'

const REF_NAME = 'org.opencontainers.image.ref.name'
const CONTAINERD_NAME = 'io.containerd.image.name'

const blobPath = (digest: Digest): string => `blobs/${digestAlgorithm(digest)}/${digest.slice(digest.indexOf(':') + 1)}`

/**
 * One image of an OCI layout, in a directory or in an archive. The image closes the files. Errors: SOURCE_INVALID,
 * IMAGE_NOT_FOUND, and those of the index parser.
 */
export async function openLayout(spec: string, files: Files, choice: Choice): Promise<ImageSource> {
  await checkVersion(files)
  const bytes = await readDocument(files, 'index.json')
  const images = parseIndex(bytes).manifests.map((image) => ({ image, names: namesOf(image) }))
  const { image, asked } = choose(files.what, images, choice)
  const { mediaType, digest, size, annotations } = image
  return {
    spec,
    reference: referenceOf(image, asked),
    target: { mediaType, digest, size, ...(annotations === undefined ? {} : { annotations }) },
    read: (descriptor, range) => readBlob(files, descriptor, range),
    has: async (wanted) => (await files.size(blobPath(wanted))) !== undefined,
    close: () => files.close(),
  }
}

async function* readBlob(files: Files, descriptor: Descriptor, range: Range = {}): AsyncGenerator<Uint8Array> {
  const path = blobPath(descriptor.digest)
  if ((await files.size(path)) === undefined) throw blobNotFound(files.what, descriptor)
  yield* verifiedUnlessPart(files.read(path, range), descriptor, range)
}

async function checkVersion(files: Files): Promise<void> {
  const document = new Field(parseJSON(await readDocument(files, 'oci-layout'), { what: 'oci-layout' }), 'oci-layout')
  const version = document.get('imageLayoutVersion').string()
  if (!version.startsWith('1.')) throw invalid(files.what, `is an OCI layout of the unknown version ${version}`)
}

async function readDocument(files: Files, path: string): Promise<Uint8Array> {
  const bytes = await readSmall(files, path, (size) => {
    if (size > MAX_DOCUMENT_BYTES) throw invalid(files.what, `has a ${path} of ${size} bytes`)
  })
  if (bytes !== undefined) return bytes
  throw invalid(
    files.what,
    `is not an OCI layout: it has no ${path}`,
    'Write docker-archive:FILE for what `docker save` wrote, or make a layout with `skopeo copy SOURCE oci:DIR:TAG`.',
  )
}

function namesOf({ annotations = {} }: IndexEntry): string[] {
  const names = [annotations[REF_NAME], annotations[CONTAINERD_NAME]].filter((name) => name !== undefined)
  return [...new Set(names)]
}

/** The first name with a registry in it. Most layouts have a bare tag only, which names no image. */
function referenceOf({ annotations = {} }: IndexEntry, asked: string | undefined): string | undefined {
  return [asked, annotations[CONTAINERD_NAME], annotations[REF_NAME]].find((name) =>
    /^(localhost|[^/]*[.:][^/]*)\//.test(name ?? ''),
  )
}
