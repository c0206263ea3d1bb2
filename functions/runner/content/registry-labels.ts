/** The registries that an image's blobs came from, by the labels that a pull gives them (containerd/FACTS.md section 7). */
import { hasCode } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import { DISTRIBUTION_SOURCE } from '../../image/label-names.ts'
import { parseReference } from '../../image/reference.ts'
import type { Backend, Labels } from '../../node/ports.ts'
import { hostOf } from '../../plan/gc-labels.ts'

export interface LabelledImage {
  reference: string
  /** The index or manifest to ask a registry for. */
  target: Digest
  /** The blobs whose labels are read. */
  blobs: readonly Digest[]
}

/** Specs of the image in every registry and repository that its blobs' labels name, each once. */
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

/** The label's key has no port. Where the image's own name has this host, its port is taken. */
function withPort(host: string, reference: string): string {
  const domain = domainOf(reference)
  if (domain !== undefined && hostOf(domain) === host) return domain
  const isAddress = host.split(':').length > 2
  return isAddress ? `[${host}]` : host
}

/** The registry in a name; undefined where the name does not follow the grammar of references. */
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
