/** Snapshots that several images stand on carry the labels of the one that came first. */
import { LayercastError } from '../../errors.ts'
import type { Backend, Labels } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { plan as planImage } from '../../plan/plan.ts'
import { findImage } from './find.ts'
import { imageInput } from './named-image.ts'

/** The labels that other images of the node give to a snapshot, by chain ID. */
export type OtherLabels = ReadonlyMap<string, readonly { image: string; labels: Labels }[]>

/**
 * What the plans of the node's other images say of this plan's chain IDs, under the same snapshotter. An image that cannot
 * be planned here (of another platform, or not whole) gives none. CONTAINERD_UNREACHABLE.
 */
export async function labelsOfOtherImages(backend: Backend, plan: Plan): Promise<OtherLabels> {
  const others = new Map<string, { image: string; labels: Labels }[]>()
  const ours = new Set<string>(plan.layers.map((layer) => layer.chainID))
  for await (const { name } of backend.images.list()) {
    if (name === plan.reference) continue
    const other = await planOrNone(backend, name, plan)
    for (const { chainID, labels } of other?.layers ?? []) {
      if (!ours.has(chainID)) continue
      others.set(chainID, [...(others.get(chainID) ?? []), { image: name, labels }])
    }
  }
  return others
}

async function planOrNone(backend: Backend, name: string, { platform, snapshotter, profile }: Plan) {
  try {
    const image = await findImage(backend, name, { platform })
    return planImage({ ...imageInput(image), snapshotter, profile }).plan
  } catch (error) {
    if (error instanceof LayercastError && error.kind !== 'unreachable') return undefined
    throw error
  }
}
