/** Where an image's blobs came from, by their own labels (CONTAINERD-FACTS section 7). */
import { hasCode } from '../../image/errors.ts'
import type { Plan } from '../../plan/document.ts'
import type { Backend, Labels } from '../ports.ts'

const PREFIX = 'containerd.io/distribution.source.'

/** The image in every registry and repository that a blob of it names, as sources; each once. */
export async function registrySources(backend: Backend, plan: Plan): Promise<string[]> {
  const specs = new Set<string>()
  for (const { digest } of [plan.manifest, plan.config, ...plan.layers.map((layer) => layer.descriptor)]) {
    for (const [key, value] of Object.entries(await labelsOf(backend, digest))) {
      if (!key.startsWith(PREFIX)) continue
      const host = key.slice(PREFIX.length)
      const repositories = value.split(',').filter((repository) => repository !== '')
      for (const repository of repositories) specs.add(`docker://${host}/${repository}@${plan.manifest.digest}`)
    }
  }
  return [...specs]
}

async function labelsOf(backend: Backend, digest: Plan['manifest']['digest']): Promise<Labels> {
  try {
    return (await backend.content.info(digest)).labels
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return {}
    throw error
  }
}
