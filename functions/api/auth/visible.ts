/** Which stored documents a caller may read: a node those of its own assignment, any other caller all of the fleet. */
import { LayercastError } from '../../errors.ts'
import type { Store } from '../store/store.ts'
import type { Caller } from './caller.ts'

/** An image document. IMAGE_NOT_FOUND also where the caller may not read it: a node is not told what else is stored. */
export async function readVisibleImage(
  store: Store,
  caller: Caller,
  digest: string,
): Promise<{ mediaType: string; bytes: Uint8Array }> {
  const visible = caller.scope !== 'node' || (await store.nodePlans.isOfAssignedImage(caller.nodeId, digest))
  const image = visible ? await store.images.read(digest) : undefined
  if (image !== undefined) return image
  throw new LayercastError('IMAGE_NOT_FOUND', `no manifest, index or config ${digest} is kept here`, {
    fix: 'Keep it first, with POST /v1/images.',
    detail: { digest },
  })
}

/** A plan's canonical bytes. PLAN_NOT_FOUND also where the caller may not read it. */
export async function readVisiblePlan(store: Store, caller: Caller, digest: string): Promise<Uint8Array> {
  const visible = caller.scope !== 'node' || (await store.nodePlans.isAssigned(caller.nodeId, digest))
  const bytes = visible ? await store.plans.read(digest) : undefined
  if (bytes !== undefined) return bytes
  throw planNotFound(digest)
}

export function planNotFound(digest: string): LayercastError {
  return new LayercastError('PLAN_NOT_FOUND', `no plan ${digest} is kept here`, {
    fix: 'Make it first, with POST /v1/plans.',
    detail: { digest },
  })
}
