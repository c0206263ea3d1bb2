/** What a caller may see of what is kept: a node only what its own assignment names, anyone else who got this far all. */
import type { D1Database } from '@cloudflare/workers-types'
import { LayercastError } from '../../errors.ts'
import type { Caller } from '../auth/caller.ts'
import { readImage } from './images.ts'
import type { StoredImage } from './images.ts'
import { isAssigned, isOfAssignedImage } from './node-plans.ts'
import { readPlan } from './plans.ts'

/** IMAGE_NOT_FOUND also where a node may not see it: a node is not told what else there is. */
export async function imageFor(db: D1Database, fleet: string, caller: Caller, digest: string): Promise<StoredImage> {
  const visible = caller.scope !== 'node' || (await isOfAssignedImage(db, caller.nodeId, digest))
  const image = visible ? await readImage(db, fleet, digest) : undefined
  if (image !== undefined) return image
  throw new LayercastError('IMAGE_NOT_FOUND', `no manifest, index or config ${digest} is kept here`, {
    fix: 'Keep it first, with POST /v1/images.',
    detail: { digest },
  })
}

/** PLAN_NOT_FOUND also where a node may not see it. */
export async function planFor(db: D1Database, fleet: string, caller: Caller, digest: string): Promise<Uint8Array> {
  const visible = caller.scope !== 'node' || (await isAssigned(db, caller.nodeId, digest))
  const bytes = visible ? await readPlan(db, fleet, digest) : undefined
  if (bytes !== undefined) return bytes
  throw new LayercastError('PLAN_NOT_FOUND', `no plan ${digest} is kept here`, {
    fix: 'Make it first, with POST /v1/plans.',
    detail: { digest },
  })
}
