/** Carries out one plan of an assignment, after checking that the plan follows from the image on this node. */
import type { Client } from '../contract/client.ts'
import { hasCode, LayercastError } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import type { Digest } from '../image/digest.ts'
import type { Backend } from '../node/ports.ts'
import type { Plan, Planned } from '../plan/document.ts'
import { parsePlan } from '../plan/parse.ts'
import { checkBound, checkDerived } from '../runner/images/derived.ts'
import type { ApplierChoice, UnpackEvent, UnpackResult } from '../runner/unpack/types.ts'
import { unpack } from '../runner/unpack/unpack.ts'
import type { State } from './state.ts'

export interface CarryOutOptions {
  backend: Backend
  applier?: ApplierChoice | undefined
  signal: AbortSignal
  onEvent: (event: UnpackEvent) => void
}

/** The plan of this digest: from the disk where it is kept there whole, else from the server. Checked in both cases. */
export async function fetchPlan(client: Client, state: State, digest: Digest): Promise<Planned> {
  const kept = await state.plan(digest)
  if (kept !== undefined) {
    const planned = readKept(kept)
    if (planned?.digest === digest) return planned
  }
  const planned = await client.getPlan(digest)
  await state.keepPlan(digest, planned.bytes)
  return planned
}

/** A kept plan that cannot be read counts as missing, because the server has it. */
function readKept(bytes: Uint8Array): Planned | undefined {
  try {
    return parsePlan(bytes)
  } catch (error) {
    if (error instanceof LayercastError) return undefined
    throw error
  }
}

/**
 * Carries out a plan on this node. The server's plan is not trusted: the node has the documents of the image, and a plan that does not
 * follow from them is refused before anything is changed. IMAGE_NOT_FOUND or BLOB_NOT_FOUND where the image is not here;
 * PLAN_NOT_DERIVED; the rest as `unpack`.
 */
export async function carryOut(planned: Planned, options: CarryOutOptions): Promise<UnpackResult> {
  const { backend, applier, signal, onEvent } = options
  await checkImage(backend, planned)
  if (!(await checkDerived(backend, planned.plan))) throw gone(planned.plan)
  return await unpack({ backend, planned, signal, onEvent, applier })
}

/** A document was removed while the plan was checked. The next round checks again. */
function gone({ reference, manifest, config }: Plan): LayercastError {
  return new LayercastError('BLOB_NOT_FOUND', `the documents of image ${reference} went while the plan was compared`, {
    fix: 'Pull or import the image again; the agent tries again.',
    detail: { digests: [manifest.digest, config.digest] },
  })
}

async function checkImage(backend: Backend, { plan }: Planned): Promise<void> {
  let target: Descriptor
  try {
    target = (await backend.images.get(plan.reference)).target
  } catch (error) {
    if (!hasCode(error, 'IMAGE_NOT_FOUND')) throw error
    throw new LayercastError('IMAGE_NOT_FOUND', `image ${plan.reference} is not on this node`, {
      cause: error,
      fix: 'Pull or import the image on the node; the agent tries again.',
      detail: { reference: plan.reference },
    })
  }
  const digests: Digest[] = []
  for (const { digest } of [plan.manifest, plan.config]) {
    try {
      await backend.content.info(digest)
    } catch (error) {
      if (!hasCode(error, 'BLOB_NOT_FOUND')) throw error
      digests.push(digest)
    }
  }
  if (digests.length === 0) return await checkBound(backend, plan, target)
  throw new LayercastError(
    'BLOB_NOT_FOUND',
    `image ${plan.reference} is on this node under other content: ${digests.join(', ')} of the plan is not there`,
    {
      fix: 'Pull or import the very image that was planned, or plan the one that is here.',
      detail: { digests },
    },
  )
}
