/**
 * layercast as a library: plans, in Node and in Workers alike.
 *
 *     import { plan } from 'layercast'
 *     const { plan: document, bytes, digest } = plan({ reference, manifest, config, snapshotter: 'nydus' })
 */
export { LayercastError } from './errors.ts'
export type { Code } from './errors.ts'
export type { Descriptor } from './image/descriptor.ts'
export type { Digest } from './image/digest.ts'
export type { Platform } from './image/platform.ts'
export { diffPlans } from './plan/diff.ts'
export { parsePlan } from './plan/parse.ts'
export { plan } from './plan/plan.ts'
export { PROFILES } from './plan/profiles.ts'
export type { BlobNeed, Plan, PlanLayer, Planned, PlanWarning } from './plan/document.ts'
export type { PlanChange } from './plan/diff.ts'
export type { PlanInput } from './plan/plan.ts'
export type { Profile } from './plan/profiles.ts'
