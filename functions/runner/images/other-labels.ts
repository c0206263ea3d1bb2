/** The labels that the node's other images give to the same snapshots. A shared snapshot has those of the image that was unpacked first. */
import { LayercastError } from '../../errors.ts'
import type { Backend, Labels } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { plan as planImage } from '../../plan/plan.ts'
import { findImage } from './find.ts'
import { imageInput } from './named-image.ts'

/** By chain ID: the labels in the plans of other images, with each image's name. */
export type OtherLabels = ReadonlyMap<string, readonly { image: string; labels: Labels }[]>

/**
 * Plans every other image of the node under the same snapshotter, and takes the labels of the layers that this plan has too. An image
 * that cannot be planned here (of another platform, or not whole) is passed over. CONTAINERD_UNREACHABLE.
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
