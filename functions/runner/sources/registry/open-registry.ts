/** An image in a registry, as a source. */
import { hasCode, LayercastError } from '../../../errors.ts'
import type { Descriptor } from '../../../image/descriptor.ts'
import { digestBytes, verifyBytes, type Digest } from '../../../image/digest.ts'
import { Field } from '../../../image/fields.ts'
import { MAX_DOCUMENT_BYTES, parseJSON } from '../../../image/json.ts'
import { MEDIA_TYPE } from '../../../image/media-type.ts'
import { normalizeReference, parseReference } from '../../../image/reference.ts'
import type { Range } from '../../../node/ports.ts'
import { verifiedUnlessPart } from '../../../node/verified.ts'
import type { ImageSource } from '../source.ts'
import { documentBody } from './coding.ts'
import { refused } from './errors.ts'
import { hostsFor } from './hosts.ts'
import { firstOf, readFromFirst } from './mirrors.ts'
import { Repository } from './repository.ts'

const ACCEPT = [MEDIA_TYPE.ociIndex, MEDIA_TYPE.ociManifest, MEDIA_TYPE.dockerIndex, MEDIA_TYPE.dockerManifest].join(
  ', ',
)

/**
 * Opens an image in a registry (distribution-spec 1.1). containerd's hosts.toml says which hosts are asked, and how; docker's
 * config.json has the credentials where a host asks for them. Errors: SOURCE_INVALID, REFERENCE_INVALID, IMAGE_NOT_FOUND,
 * REGISTRY_UNREACHABLE, REGISTRY_FAILED, DIGEST_MISMATCH.
 * @param spec as the user wrote it
 * @param name the image's name in it
 * @param roots the directories of hosts.toml files
 */
export async function openRegistry(spec: string, name: string, roots: readonly string[]): Promise<ImageSource> {
  const reference = normalizeReference(name)
  const { domain, path, digest } = parseReference(reference)
  if (domain === '') {
    throw new LayercastError('REFERENCE_INVALID', `the reference ${reference} names no registry`, {
      fix: 'Write docker://HOST/NAME:TAG.',
    })
  }
  const hosts = (await hostsFor(domain, roots)).map((host) => new Repository(host, domain, path))
  const pulling = hosts.filter((host) => host.pulls)
  const close = (): void => {
    for (const host of hosts) host.close()
  }
  try {
    const resolving = digest === undefined ? hosts.filter((host) => host.resolves) : pulling
    const { target, bytes } = await firstOf(resolving, (host) => fetchTarget(host, reference))
    return {
      spec,
      reference,
      target,
      read: (descriptor, range) => read(pulling, descriptor, range, { target, bytes }),
      has: (wanted) => has(pulling, wanted, target),
      close: async () => close(),
    }
  } catch (error) {
    close()
    throw error
  }
}

interface Target {
  target: Descriptor
  bytes: Uint8Array
}

/** What the name points to now. Its bytes are kept: a tag may point elsewhere the next time. */
async function fetchTarget(repository: Repository, reference: string): Promise<Target> {
  const { tag, digest } = parseReference(reference)
  const path = `manifests/${digest ?? tag ?? 'latest'}`
  const response = await repository.request(path, { headers: { accept: ACCEPT } })
  const url = repository.url(path)
  if (response.status === 404) {
    await response.body?.cancel()
    throw new LayercastError('IMAGE_NOT_FOUND', `registry ${url.host} has no image ${reference}`, {
      fix: 'Check the name and the tag; some registries say so too of what one may not see.',
      detail: { reference },
    })
  }
  if (response.status !== 200) throw await refused(`find ${reference}`, url, response)
  const bytes = await readDocument(response, reference)
  if (digest !== undefined) verifyBytes(bytes, digest, `the manifest of ${reference}`)
  const mediaType = mediaTypeOf(response, bytes)
  return { target: { mediaType, digest: digest ?? digestBytes(bytes), size: bytes.length }, bytes }
}

/** The Content-Type; where a registry serves everything as JSON or plain text, what the document says of itself. */
function mediaTypeOf(response: Response, bytes: Uint8Array): string {
  const [served = ''] = (response.headers.get('content-type') ?? '').split(';', 1)
  if (/^application\/vnd\./i.test(served.trim())) return served.trim()
  const document = new Field(parseJSON(bytes, { what: 'manifest' }), 'manifest')
  return (
    document.get('mediaType').optionalString() ??
    (document.has('manifests') ? MEDIA_TYPE.ociIndex : MEDIA_TYPE.ociManifest)
  )
}

async function readDocument(response: Response, reference: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of documentBody(response)) {
    size += chunk.length
    if (size > MAX_DOCUMENT_BYTES) {
      throw new LayercastError(
        'DOCUMENT_TOO_LARGE',
        `the manifest of ${reference} has more than ${MAX_DOCUMENT_BYTES} bytes`,
        {
          fix: 'Build the image with a smaller manifest.',
          detail: { reference, limit: MAX_DOCUMENT_BYTES },
        },
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function* read(
  hosts: readonly Repository[],
  descriptor: Descriptor,
  range: Range = {},
  { target, bytes }: Target,
): AsyncGenerator<Uint8Array> {
  if (descriptor.digest === target.digest) {
    const { offset = 0, length = bytes.length } = range
    yield new Uint8Array(bytes.subarray(offset, offset + length))
  } else yield* verifiedUnlessPart(readFromFirst(hosts, descriptor, range), descriptor, range)
}

/** A digest does not say whether it is a manifest's or a blob's, which have different paths: both are tried. */
async function has(hosts: readonly Repository[], digest: Digest, target: Descriptor): Promise<boolean> {
  if (digest === target.digest) return true
  for (const [n, host] of hosts.entries()) {
    try {
      if (await hasOne(host, digest)) return true
    } catch (error) {
      // A mirror that fails says nothing of the next host. The last host's error counts.
      if (n === hosts.length - 1 || !hasCode(error, 'REGISTRY_UNREACHABLE', 'REGISTRY_FAILED')) throw error
    }
  }
  return false
}

async function hasOne(repository: Repository, digest: Digest): Promise<boolean> {
  for (const path of [`blobs/${digest}`, `manifests/${digest}`]) {
    const response = await repository.request(path, { method: 'HEAD', headers: { accept: `${ACCEPT}, */*` } })
    if (response.status === 200) return true
    if (response.status !== 404) throw await refused(`look for blob ${digest}`, repository.url(path), response)
  }
  return false
}
