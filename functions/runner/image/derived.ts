/** A plan that came from elsewhere, against the documents that the node holds. */
import type { Descriptor } from '../../image/descriptor.ts'
import { verifyBytes } from '../../image/digest.ts'
import { hasCode, LayercastError } from '../../image/errors.ts'
import { MAX_DOCUMENT_BYTES } from '../../image/json.ts'
import { notDerived, notOfManifest } from '../../plan/derive.ts'
import type { PlanChange } from '../../plan/diff.ts'
import type { Plan } from '../../plan/document.ts'
import type { Backend } from '../ports.ts'
import { collect } from './documents.ts'

const SHOWN = 3

/**
 * Refuses a plan that does not follow from the manifest and the config that it names, where the node holds them: a plan is a
 * pure function of them, and whatever differs was changed by somebody. With the manifest alone its layers and what it says of
 * the config are compared. Returns whether all of the plan was.
 *
 * Errors: PLAN_NOT_DERIVED with `detail.changes`; DIGEST_MISMATCH for a damaged document; CONTAINERD_*.
 */
export async function checkDerived(backend: Backend, plan: Plan): Promise<boolean> {
  const manifest = await heldOrNone(backend, plan.manifest, 'the manifest')
  const config = await heldOrNone(backend, plan.config, 'the config')
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

async function heldOrNone(backend: Backend, { digest }: Descriptor, what: string): Promise<Uint8Array | undefined> {
  try {
    const bytes = await collect(backend.content.read(digest), { digest, size: MAX_DOCUMENT_BYTES })
    verifyBytes(bytes, digest, what)
    return bytes
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return undefined
    throw error
  }
}

function refusal(plan: Plan, why: string, { cause, changes }: { cause?: unknown; changes?: PlanChange[] }) {
  return new LayercastError(
    'PLAN_NOT_DERIVED',
    `the plan does not follow from the manifest ${plan.manifest.digest} and its config, which this node holds: ${why}`,
    {
      ...(cause !== undefined && { cause }),
      fix: 'Make the plan again from this image, with this version of layercast; if it was not made by another version, somebody altered it.',
      detail: { manifest: plan.manifest.digest, ...(changes !== undefined && { changes }) },
    },
  )
}

function changeText({ layer, field, from, to }: PlanChange): string {
  const where = layer === undefined ? field : `layers[${layer}].${field}`
  const [given, due] = [from, to].map((value) => (value === undefined ? 'nothing' : value.slice(0, 120)))
  return `${where} is ${given} where ${due} is due`
}
