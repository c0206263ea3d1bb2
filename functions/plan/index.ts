/** Planning: what other parts use of it most. */
export { diffPlans } from './diff.ts'
export type { PlanChange } from './diff.ts'
export type { BlobNeed, Plan, Planned, PlanLayer, PlanWarning } from './document.ts'
export { parsePlan } from './parse.ts'
export { plan } from './plan.ts'
export type { PlanInput } from './plan.ts'
export { PROFILES } from './profiles.ts'
export type { Profile } from './profiles.ts'
