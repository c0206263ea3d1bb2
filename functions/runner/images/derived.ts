/** Checks a plan that came from elsewhere against the documents that the node holds. */
import { hasCode, LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import { verifyBytes, type Digest } from '../../image/digest.ts'
import { parseIndex } from '../../image/image-index.ts'
import { isIndex } from '../../image/media-type.ts'
import type { Backend } from '../../node/ports.ts'
import { notDerived, notOfManifest } from '../../plan/derive.ts'
import type { PlanChange } from '../../plan/diff.ts'
import type { Plan } from '../../plan/document.ts'
import { readHeld, type Heal } from '../content/documents.ts'
import { withHealing, type HealingOptions } from './healing.ts'

const SHOWN = 3

/**
 * Refuses a plan that does not follow from the manifest and the config that it names, as far as the node has them: a plan is a
 * pure function of these documents, so a difference means that somebody changed it. Without the config, only the layers and the
 * config's descriptor are compared. Returns whether the whole plan was compared. A document that is missing or damaged is
 * healed from `sources`.
 *
 * Errors: PLAN_NOT_DERIVED with `detail.changes`; DIGEST_MISMATCH for a damaged document; BLOB_NOT_FOUND for one that none of
 * the sources has; CONTAINERD_*.
 */
export async function checkDerived(backend: Backend, plan: Plan, healing: HealingOptions = {}): Promise<boolean> {
  const image = { reference: plan.reference, target: plan.manifest.digest }
  const [manifest, config] = await withHealing(backend, image, healing, async (heal) => [
    await heldOrNone(backend, plan.manifest, 'the manifest', heal),
    await heldOrNone(backend, plan.config, 'the config', heal),
  ])
  if (manifest === undefined) return false
  let changes: PlanChange[]
  try {
    changes = config === undefined ? notOfManifest(plan, manifest) : notDerived(plan, { manifest, config })
  } catch (cause) {
    if (!(cause instanceof LayercastError)) throw cause
    throw refusal(plan, cause.message, { cause })
  }
  if (changes.length > 0) throw refusal(plan, changes.slice(0, SHOWN).map(changeText).join('; '), { changes })
  return config !== undefined
}

/** How many indexes may lie within each other. image-spec has no limit; images have one or two. */
const INDEX_DEPTH = 4

/**
 * Refuses a plan whose reference leads to another image on this node: its labels would say that the layers belong to that
 * image. PLAN_NOT_DERIVED.
 * @param target what the reference points to on the node
 */
export async function checkBound(backend: Backend, plan: Plan, target: Descriptor): Promise<void> {
  if (await leadsTo(backend, target, plan.manifest.digest, INDEX_DEPTH)) return
  throw new LayercastError(
    'PLAN_NOT_DERIVED',
    `the plan is of manifest ${plan.manifest.digest}, and ${plan.reference} leads to ${target.digest} on this node, which does not have it`,
    {
      fix: 'Plan the image that the name leads to, or pull the one that was planned.',
      detail: { manifest: plan.manifest.digest, target: target.digest },
    },
  )
}

async function leadsTo(backend: Backend, from: Descriptor, manifest: Digest, depth: number): Promise<boolean> {
  if (from.digest === manifest) return true
  if (depth === 0 || !isIndex(from.mediaType)) return false
  const bytes = await heldOrNone(backend, from, 'the index')
  if (bytes === undefined) return false
  for (const entry of parseIndex(bytes, from.mediaType).manifests) {
    if (await leadsTo(backend, entry, manifest, depth - 1)) return true
  }
  return false
}

async function heldOrNone(
  { content }: Backend,
  document: Descriptor,
  what: string,
  heal?: Heal,
): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readHeld(content, document, heal)
    verifyBytes(bytes, document.digest, what)
    return bytes
  } catch (error) {
    // Where sources were named, one that they do not have is an error.
    if (heal === undefined && hasCode(error, 'BLOB_NOT_FOUND')) return undefined
    throw error
  }
}

function refusal(plan: Plan, why: string, { cause, changes }: { cause?: unknown; changes?: PlanChange[] }) {
  return new LayercastError(
    'PLAN_NOT_DERIVED',
    `the plan does not follow from the manifest ${plan.manifest.digest} and its config, which this node holds: ${why}`,
    {
      cause,
      fix: 'Make the plan again from this image, with this version of layercast; if it was not made by another version, somebody altered it.',
      detail: { manifest: plan.manifest.digest, ...(changes !== undefined && { changes }) },
    },
  )
}

function changeText({ layer, field, from, to }: PlanChange): string {
  const where = layer === undefined ? field : `layers[${layer}].${field}`
  const differing = narrowed(where, from, to)
  const [given, due] = [differing.from, differing.to].map((value) =>
    value === undefined ? 'nothing' : value.slice(0, 120),
  )
  return `${differing.where} is ${given} where ${due} is due`
}

function textOf(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value)
}

/** The innermost field that differs, where both sides are objects in canonical JSON. */
function narrowed(where: string, from: string | undefined, to: string | undefined) {
  const [given, due] = [objectIn(from), objectIn(to)]
  if (given === undefined || due === undefined) return { where, from, to }
  const keys = [...new Set([...Object.keys(given), ...Object.keys(due)])]
  const key = keys.find((name) => textOf(given[name]) !== textOf(due[name]))
  return key === undefined
    ? { where, from, to }
    : { where: `${where}.${key}`, from: textOf(given[key]), to: textOf(due[key]) }
}

function objectIn(text: string | undefined): Record<string, unknown> | undefined {
  if (text?.startsWith('{') !== true) return undefined
  return JSON.parse(text) as Record<string, unknown>
}
