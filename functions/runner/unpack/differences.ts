/** Warns of snapshots that were there before with other labels than the plan's. */
import type { Backend, SnapshotInfo } from '../../node/ports.ts'
import type { Plan, PlanLayer } from '../../plan/document.ts'
import { profileOf } from '../../plan/profiles.ts'
import { compareLabels, isSame } from '../chain/labels.ts'
import { labelsOfOtherImages } from '../images/other-labels.ts'
import type { Emit } from './types.ts'

/** Whether the chain's top has other labels than the plan's: then somebody else made the chain, and all of it is looked at. */
export function topDiffers(plan: Plan, top: SnapshotInfo | undefined): boolean {
  const layer = plan.layers.at(-1)
  return layer !== undefined && differs(plan, layer, top)
}

/**
 * LABELS_DIFFER where snapshots keep labels that are neither the plan's nor those of another image of the node with the same
 * layers, which was unpacked first.
 */
export async function warnOfDifferences(
  backend: Backend,
  plan: Plan,
  infos: readonly (SnapshotInfo | undefined)[],
  emit: Emit,
): Promise<void> {
  const suspects = plan.layers.filter((layer, index) => differs(plan, layer, infos[index]))
  if (suspects.length === 0) return
  const others = await labelsOfOtherImages(backend, plan)
  const { writes } = profileOf(plan)
  const differing = suspects.filter((layer) => {
    const found = infos[plan.layers.indexOf(layer)]?.labels ?? {}
    return !others.get(layer.chainID)?.some(({ labels }) => isSame(compareLabels(labels, found, writes)))
  })
  if (differing.length === 0) return
  const names = differing.map((layer) => layer.chainID).join(', ')
  const detail = `${differing.length} of ${plan.layers.length} snapshots were there with other labels than the plan's, and keep them until layercast repair changes that: ${names}`
  emit({ type: 'warning', code: 'LABELS_DIFFER', detail })
}

function differs(plan: Plan, layer: PlanLayer, info: SnapshotInfo | undefined): boolean {
  return info !== undefined && !isSame(compareLabels(layer.labels, info.labels, profileOf(plan).writes))
}
