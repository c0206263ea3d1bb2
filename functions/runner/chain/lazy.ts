/** Lazy layers: those that a remote snapshotter shows without their being unpacked on the node. */
import type { SnapshotInfo } from '../../node/ports.ts'
import type { Plan, PlanWarning } from '../../plan/document.ts'
import { profileOf } from '../../plan/profiles.ts'

export interface Lazy {
  /** How many layers of the chain are lazy. */
  layers: number
  /** How many layers it has. */
  of: number
}

/** Whether a layer is lazy, by the label that the snapshotter put on its snapshot. */
export function isLazy(plan: Pick<Plan, 'profile'>, info: SnapshotInfo | undefined): boolean {
  return profileOf(plan).lazyLabels.some((key) => Boolean(info?.labels[key]))
}

/**
 * Counts the lazy layers. Undefined under a snapshotter that unpacks every layer or does not say, and under an unknown snapshotter
 * that has none: it may be a local one.
 */
export function countLazy(plan: Plan, infos: readonly (SnapshotInfo | undefined)[]): Lazy | undefined {
  const { lazyLabels, content } = profileOf(plan)
  if (lazyLabels.length === 0 || plan.layers.length === 0) return undefined
  const layers = infos.filter((info) => isLazy(plan, info)).length
  return layers === 0 && content === 'unknown' ? undefined : { layers, of: plan.layers.length }
}

/** The warning NOTHING_LAZY where a remote snapshotter has every layer of a chain unpacked on the node. */
export function warnNothingLazy(plan: Plan, infos: readonly (SnapshotInfo | undefined)[]): PlanWarning[] {
  const lazy = countLazy(plan, infos)
  if (lazy === undefined || lazy.layers > 0 || infos.includes(undefined)) return []
  const { whenNotLazy } = profileOf(plan)
  const detail =
    `${plan.snapshotter} took none of the ${lazy.of} layers: all are unpacked on this node, as under a local snapshotter. ` +
    `${whenNotLazy} To have it take them then: 'layercast snapshot rm -s ${plan.snapshotter} ${plan.chainID}', and unpack again.`
  return [{ code: 'NOTHING_LAZY', detail }]
}
