/** The end of an unpack: the whole chain is checked, and only then does the image refer to it. */
import { LayercastError } from '../../errors.ts'
import type { ContentStore, SnapshotInfo, Snapshotter } from '../../node/ports.ts'
import type { Plan } from '../../plan/document.ts'
import { gcLabel } from '../chain/gc-label.ts'
import { snapshotsOf } from '../chain/snapshots.ts'

/**
 * Gives the snapshots of all layers, each there, committed, and on the right parent. CHAIN_INCOMPLETE otherwise. containerd
 * can lose an error (containerd/FACTS.md section 2, step 8), so nothing may refer to a chain that was not seen whole.
 */
export async function checkChain(snapshotter: Snapshotter, plan: Plan): Promise<SnapshotInfo[]> {
  const infos = await snapshotsOf(snapshotter, plan)
  const problems: string[] = []
  const found: SnapshotInfo[] = []
  for (const [index, layer] of plan.layers.entries()) {
    const info = infos[index]
    if (info === undefined) problems.push(`${layer.chainID} is not there`)
    else if (info.kind !== 'committed') problems.push(`${layer.chainID} is ${info.kind}`)
    else if (info.parent !== layer.parent) problems.push(`${layer.chainID} is on "${info.parent}"`)
    else found.push(info)
  }
  if (problems.length === 0) return found
  throw new LayercastError(
    'CHAIN_INCOMPLETE',
    `the chain under ${snapshotter.name} is not whole after the unpack: ${problems.join('; ')}`,
    {
      fix: 'Make it again with layercast repair; where it comes back, something else on the node removes or makes snapshots of this chain.',
      detail: { snapshotter: snapshotter.name, problems },
    },
  )
}

/** Writes the gc label on the config blob: from then on the image keeps the chain. Only after `checkChain`. */
export async function labelConfig(content: ContentStore, plan: Plan): Promise<void> {
  await content.label(plan.config.digest, { [gcLabel(plan.snapshotter)]: plan.chainID })
}
