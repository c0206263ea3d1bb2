/** Finds the record of an image on the node by its name, its ID or a digest, as ctr and crictl do. */
import { hasCode, LayercastError } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import { parseManifest } from '../../image/manifest.ts'
import type { Platform } from '../../image/platform.ts'
import { quote } from '../../image/quote.ts'
import { normalizeReference, parseReference } from '../../image/reference.ts'
import { CRI_NAMESPACE } from '../../node/cri-namespace.ts'
import { recordOrNone } from '../../node/or-none.ts'
import type { Backend, ImageRecord } from '../../node/ports.ts'
import { heldDocuments } from '../content/documents.ts'

/** An ID or digest, whole or shortened, with its algorithm or without. */
const ID = /^(?:(?:sha256|sha384|sha512):)?[0-9a-f]{1,128}$/
const WHOLE = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/
const SHOWN = 5

/**
 * The record that a text means. In this order: the record of this name; that of the name as CRI normalises it; one whose config
 * (CRI's image ID), manifest or index has this digest, which may be shortened. Of several names of one image it is the one that
 * CRI puts into labels. IMAGE_NOT_FOUND; IMAGE_AMBIGUOUS for a shortened digest of several images; REFERENCE_INVALID for a text
 * that is neither a name nor an ID.
 */
export async function findRecord(backend: Backend, text: string, platform: Platform): Promise<ImageRecord> {
  // CRI also keeps a record whose name is the image's ID. Who gives an ID means the image, under its best name.
  const exact = WHOLE.test(text) ? undefined : await recordOrNone(backend.images, text)
  if (exact) return exact
  const normalized = ID.test(text) ? normalOrNone(text) : normalizeReference(text)
  const named =
    normalized === undefined || normalized === text ? undefined : await recordOrNone(backend.images, normalized)
  if (named) return named
  const found = ID.test(text) ? await findByDigest(backend, text, platform) : undefined
  // An image that cannot be read for this platform can still have a record whose name is this ID.
  const record = found ?? (WHOLE.test(text) ? await recordOrNone(backend.images, text) : undefined)
  if (record) return record
  const { namespace } = backend
  const where = namespace === undefined ? `the ${backend.kind} store` : `containerd's namespace ${namespace}`
  const other =
    namespace === undefined || namespace === CRI_NAMESPACE ? '' : `; the kubelet's are in -n ${CRI_NAMESPACE}`
  throw new LayercastError('IMAGE_NOT_FOUND', `there is no image ${normalized ?? text} in ${where}`, {
    fix: `See what is there with \`layercast image ls\`${other}; or name a source: oci:DIR, docker-archive:FILE, docker://NAME.`,
    detail: { image: text, normalized: normalized ?? text, ...(namespace === undefined ? {} : { namespace }) },
  })
}

/**
 * Sorts the names of one image as CRI does, which puts the first one into labels: with tag and digest, with a tag, with a
 * digest, with neither, a digest alone, and what is not a reference.
 */
export function byPreference(one: string, other: string): number {
  return rank(one) - rank(other) || (one < other ? -1 : one > other ? 1 : 0)
}

function rank(name: string): number {
  if (WHOLE.test(name) || /^[0-9a-f]{64}$/.test(name)) return 4
  try {
    const { tag, digest } = parseReference(name)
    if (tag !== undefined) return digest === undefined ? 1 : 0
    return digest === undefined ? 3 : 2
  } catch (error) {
    if (hasCode(error, 'REFERENCE_INVALID', 'DIGEST_INVALID')) return 5
    throw error
  }
}

async function findByDigest(backend: Backend, text: string, platform: Platform): Promise<ImageRecord | undefined> {
  const images = new Map<string, ImageRecord[]>()
  for await (const record of backend.images.list()) {
    const digests = await digestsOf(backend, record, platform)
    if (!digests.some((digest) => isMeant(digest, text))) continue
    // To CRI, names with the same config are of the same image, whatever their manifests are.
    const id = digests.at(-1) ?? record.target.digest
    images.set(id, [...(images.get(id) ?? []), record])
  }
  const [records, ...others] = images.values()
  if (records !== undefined && others.length === 0)
    return records.toSorted((one, other) => byPreference(one.name, other.name))[0]
  if (records === undefined) return undefined
  const ids = [...images].map(([id, of]) => `${id} (${of.map(({ name }) => name).toSorted(byPreference)[0]})`)
  throw new LayercastError(
    'IMAGE_AMBIGUOUS',
    `${quote(text)} is the beginning of ${ids.length} images' digests: ${ids.slice(0, SHOWN).join(', ')}${ids.length > SHOWN ? ' …' : ''}`,
    { fix: 'Give more of the digest, or the name.', detail: { image: text, digests: [...images.keys()] } },
  )
}

function isMeant(digest: string, text: string): boolean {
  return digest.startsWith(text) || digest.slice(digest.indexOf(':') + 1).startsWith(text)
}

/** The digests of a record's target, and of the platform's manifest and config; the target's alone where these are unreadable. */
async function digestsOf(backend: Backend, { target }: ImageRecord, platform: Platform): Promise<Digest[]> {
  try {
    const { manifest } = await heldDocuments(backend.content)(target, platform)
    const { config } = parseManifest(manifest.bytes, manifest.descriptor.mediaType)
    return [target.digest, manifest.descriptor.digest, config.digest]
  } catch (error) {
    // An image that is incomplete, or not for this platform, cannot be found by its ID.
    if (error instanceof LayercastError && error.kind !== 'unreachable') return [target.digest]
    throw error
  }
}

function normalOrNone(text: string): string | undefined {
  try {
    return normalizeReference(text)
  } catch (error) {
    if (hasCode(error, 'REFERENCE_INVALID', 'DIGEST_INVALID')) return undefined
    throw error
  }
}
