/** Which layers of a plan can be compared with what a node has, and why the others cannot. */
import { isEncrypted } from '../../image/media-type.ts'
import { hasBytes } from '../../node/blob-fault.ts'
import { statOrNone } from '../../node/or-none.ts'
import type { Backend, SnapshotInfo } from '../../node/ports.ts'
import type { Plan, PlanLayer } from '../../plan/document.ts'
import { isLazy } from '../chain/lazy.ts'
import type { NotCompared } from './types.ts'

export interface ComparableLayers {
  /** How many layers, from the base up, can be compared. */
  count: number
  /** The others: the lowest that cannot be compared, and all above it. */
  notCompared: NotCompared[]
  /** The layers that a remote snapshotter shows without their being unpacked on the node. */
  lazy: ReadonlySet<PlanLayer>
}

/**
 * Looks for the layers whose tree can be compared: every layer up to and with them has a committed snapshot, and a blob that
 * is on the node and can be read. CONTAINERD_*.
 */
export async function comparableLayers(backend: Backend, plan: Plan): Promise<ComparableLayers> {
  const snapshotter = backend.snapshotter(plan.snapshotter)
  const notCompared: NotCompared[] = []
  const lazy = new Set<PlanLayer>()
  for (const [index, layer] of plan.layers.entries()) {
    const info = await statOrNone(snapshotter, layer.chainID)
    if (isLazy(plan, info)) lazy.add(layer)
    const why = (await whyNot(backend, layer, info)) ?? (notCompared.length > 0 ? 'above one of these' : undefined)
    if (why !== undefined) notCompared.push({ index, digest: layer.descriptor.digest, why })
  }
  return { count: notCompared[0]?.index ?? plan.layers.length, notCompared, lazy }
}

async function whyNot(
  backend: Backend,
  layer: PlanLayer,
  info: SnapshotInfo | undefined,
): Promise<NotCompared['why'] | undefined> {
  if (info?.kind !== 'committed') return 'snapshot missing'
  if (!(await hasBytes(backend.content, layer.descriptor.digest))) return 'blob missing'
  return isUnreadable(layer) ? 'layer unreadable' : undefined
}

/** Whether a layer is no archive (erofs), or encrypted. */
function isUnreadable({ descriptor: { mediaType } }: PlanLayer): boolean {
  return mediaType.startsWith('application/vnd.erofs.') || isEncrypted(mediaType)
}
