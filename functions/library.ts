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
export { diffPlans, parsePlan, plan, PROFILES } from './plan/index.ts'
export type { BlobNeed, Plan, PlanChange, PlanInput, PlanLayer, Planned, PlanWarning, Profile } from './plan/index.ts'
