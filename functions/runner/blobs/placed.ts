/** A layer of a plan together with its place in the plan. */
import type { PlanLayer } from '../../plan/document.ts'

export interface Placed {
  /** From 0, the base. */
  index: number
  layer: PlanLayer
}
