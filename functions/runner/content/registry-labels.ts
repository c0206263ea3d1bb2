/** Where an image's blobs came from, by their own labels (containerd/FACTS.md section 7). */
import { hasCode } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import { DISTRIBUTION_SOURCE } from '../../image/label-names.ts'
import { parseReference } from '../../image/reference.ts'
import type { Backend, Labels } from '../../node/ports.ts'
import { hostOf } from '../../plan/gc-labels.ts'

export interface LabelledImage {
  reference: string
  /** What a registry is asked for. */
  target: Digest
  /** Those whose labels are looked at. */
  blobs: readonly Digest[]
}

/** The image in every registry and repository that a blob of it names, as sources; each once. */
export async function registrySources(
  backend: Backend,
  { reference, target, blobs }: LabelledImage,
): Promise<string[]> {
  const specs = new Set<string>()
  for (const digest of blobs) {
    for (const [key, value] of Object.entries(await labelsOf(backend, digest))) {
      if (!key.startsWith(DISTRIBUTION_SOURCE)) continue
      const registry = withPort(key.slice(DISTRIBUTION_SOURCE.length), reference)
      const repositories = value.split(',').filter((repository) => repository !== '')
      for (const repository of repositories) specs.add(`docker://${registry}/${repository}@${target}`)
    }
  }
  return [...specs]
}

/** The label's key has no port; the image's own name says which, where it is of that host. */
function withPort(host: string, reference: string): string {
  const domain = domainOf(reference)
  if (domain !== undefined && hostOf(domain) === host) return domain
  const isAddress = host.split(':').length > 2
  return isAddress ? `[${host}]` : host
}

/** The registry of a name; none where the name is the store's own and follows no grammar. */
function domainOf(reference: string): string | undefined {
  try {
    return parseReference(reference).domain
  } catch (error) {
    if (hasCode(error, 'REFERENCE_INVALID', 'DIGEST_INVALID')) return undefined
    throw error
  }
}

async function labelsOf(backend: Backend, digest: Digest): Promise<Labels> {
  try {
    return (await backend.content.info(digest)).labels
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return {}
    throw error
  }
}
