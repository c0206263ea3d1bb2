/** Whether a plan follows from the documents that it names: how a node that holds them knows that nobody altered it. */
import { LayercastError } from '../errors.ts'
import { parseManifest } from '../image/manifest.ts'
import { isLayer } from '../image/media-type.ts'
import { canonicalize } from './canonical.ts'
import { diffPlans } from './diff.ts'
import type { PlanChange } from './diff.ts'
import type { Plan } from './document.ts'
import { plan as planImage } from './plan.ts'

/** The documents that a plan names, as the very bytes. */
export interface PlanDocuments {
  manifest: Uint8Array
  config: Uint8Array
}

/**
 * Plans the documents again, for the plan's own reference, snapshotter and profile, with CRI's labels and without, and gives
 * what differs from the nearer of the two; empty where the plan follows from its documents. Warnings do not count: their words
 * change from one version of layercast to the next.
 *
 * Errors: those of `plan()` where nothing at all can be planned; DIGEST_MISMATCH where the bytes are not those that are named.
 */
export function notDerived(given: Plan, documents: PlanDocuments): PlanChange[] {
  const tried = (['cri', 'off'] as const).map((labels) => tryToDerive(given, documents, labels))
  const found = tried.flatMap((one) => ('changes' in one ? [one.changes] : []))
  const [best] = found.toSorted((one, other) => one.length - other.length)
  if (best !== undefined) return best
  for (const one of tried) if ('error' in one) throw one.error
  return []
}

/**
 * What of a plan does not follow from the manifest alone, where the config is not at hand: the documents that it names, and
 * the layers as the manifest describes them. Errors: those of parseManifest.
 */
export function notOfManifest(given: Plan, bytes: Uint8Array): PlanChange[] {
  const { descriptor, config, layers } = parseManifest(bytes, given.manifest.mediaType)
  const { mediaType, digest, size } = config
  const due = layers.filter((layer) => isLayer(layer.mediaType))
  const pairs: [layer: number | undefined, field: string, from: unknown, to: unknown][] = [
    [undefined, 'manifest', given.manifest, descriptor],
    [undefined, 'config', given.config, { mediaType, digest, size }],
  ]
  // A plan of no layers may be right of a manifest that has some: what the config says decides.
  const count = given.layers.length === 0 ? 0 : Math.max(given.layers.length, due.length)
  for (let index = 0; index < count; index++)
    pairs.push([index, 'descriptor', given.layers[index]?.descriptor ?? null, due[index] ?? null])
  return pairs
    .map(([layer, field, from, to]) => ({ layer, field, from: canonicalize(from), to: canonicalize(to) }))
    .filter(({ from, to }) => from !== to)
}

function tryToDerive(
  given: Plan,
  documents: PlanDocuments,
  labels: 'cri' | 'off',
): { changes: PlanChange[] } | { error: LayercastError } {
  const { reference, snapshotter, profile, manifest } = given
  try {
    const { plan: derived } = planImage({
      ...documents,
      reference,
      referenceForm: 'store',
      snapshotter,
      profile,
      labels,
      mediaType: manifest.mediaType,
    })
    const changes = diffPlans(given, derived).filter(({ field }) => field !== 'warnings')
    return { changes: [...otherType(given, derived), ...changes] }
  } catch (error) {
    if (error instanceof LayercastError) return { error }
    throw error
  }
}

/**
 * A plan may say that its manifest came under a type other than the manifest's own; planning then warns of it. A plan that names
 * such a type without the warning was altered.
 */
function otherType(given: Plan, derived: Plan): PlanChange[] {
  if (!saysOtherType(derived) || saysOtherType(given)) return []
  return [{ layer: undefined, field: 'manifest', from: given.manifest.mediaType, to: "the manifest's own type" }]
}

function saysOtherType({ warnings }: Plan): boolean {
  return warnings.some(({ code }) => code === 'MANIFEST_TYPE_DIFFERS')
}
