/** Compares the snapshots of a chain, and the gc label that keeps them, with a plan. */
import { infoOrNone, statOrNone } from '../../node/or-none.ts'
import type { Backend, SnapshotInfo } from '../../node/ports.ts'
import type { Plan, PlanLayer } from '../../plan/document.ts'
import { profileOf } from '../../plan/profiles.ts'
import { gcLabel } from '../chain/gc-label.ts'
import { compareLabels, isSame, unplannedLabels } from '../chain/labels.ts'
import { countLazy, warnNothingLazy } from '../chain/lazy.ts'
import { isLeftover } from '../chain/leftovers.ts'
import { chainIDsOf } from '../chain/snapshots.ts'
import { labelsOfOtherImages, type OtherLabels } from '../images/other-labels.ts'
import { stateOf } from './state.ts'
import type { ConfigProblem, VerifiedLayer, VerifyProblem, VerifyReport } from './types.ts'

/**
 * Compares what a node has with a plan: the snapshot of each layer, its kind, its parent and every label, and the gc label of the
 * config blob. Labels that are exactly those of another image with the same layer are reported, and are no problem. Changes
 * nothing; the caller decides whether a problem is an error. SNAPSHOTTER_NOT_FOUND, CONTAINERD_*.
 */
export async function verifyChain({ backend, plan }: { backend: Backend; plan: Plan }): Promise<VerifyReport> {
  const snapshotter = backend.snapshotter(plan.snapshotter)
  const { writes } = profileOf(plan)
  const layers: VerifiedLayer[] = []
  const infos: (SnapshotInfo | undefined)[] = []
  let others: OtherLabels | undefined
  for (const [index, layer] of plan.layers.entries()) {
    const info = await statOrNone(snapshotter, layer.chainID)
    infos.push(info)
    const problems = info === undefined ? [{ code: 'SNAPSHOT_MISSING' as const }] : compareSnapshot(layer, info, writes)
    const { digest } = layer.descriptor
    // Every other image must be read for this, so it is done only where a label differs.
    if (info !== undefined && problems.some(isLabelProblem)) others ??= await labelsOfOtherImages(backend, plan)
    const labelledFor = info && others && imageLabelled(layer, info, others, writes)
    const unplanned = info === undefined ? [] : unplannedLabels(layer.labels, info.labels, writes)
    layers.push({
      index,
      digest,
      chainID: layer.chainID,
      problems: labelledFor === undefined ? problems : problems.filter((problem) => !isLabelProblem(problem)),
      ...(labelledFor !== undefined && { labelledFor }),
      ...(unplanned.length > 0 && { unplanned }),
    })
  }
  const config = { digest: plan.config.digest, problems: await verifyConfig(backend, plan) }
  const ok = config.problems.length === 0 && layers.every(({ problems }) => problems.length === 0)
  const found = { layers, config, leftovers: ok ? [] : await findLeftovers(backend, plan) }
  const { reference, chainID } = plan
  const lazy = countLazy(plan, infos)
  return {
    ok,
    reference,
    snapshotter: plan.snapshotter,
    chainID,
    ...found,
    state: stateOf(found, plan.layers),
    ...(lazy !== undefined && { lazy }),
    warnings: warnNothingLazy(plan, infos),
  }
}

/** Whether a problem is about labels alone. */
export function isLabelProblem({ code }: VerifyProblem): boolean {
  return code === 'LABEL_MISSING' || code === 'LABEL_DIFFERENT' || code === 'LABEL_EXTRA'
}

/** The other image whose labels the snapshot carries exactly, where they are not this plan's. */
function imageLabelled(
  layer: PlanLayer,
  info: SnapshotInfo,
  others: OtherLabels,
  writes: readonly string[],
): string | undefined {
  if (isSame(compareLabels(layer.labels, info.labels, writes))) return undefined
  return others.get(layer.chainID)?.find(({ labels }) => isSame(compareLabels(labels, info.labels, writes)))?.image
}

async function findLeftovers(backend: Backend, plan: Plan): Promise<string[]> {
  const chainIDs = new Set<string>(chainIDsOf(plan))
  const found: string[] = []
  for await (const info of backend.snapshotter(plan.snapshotter).list()) {
    if (isLeftover(info, chainIDs)) found.push(info.name)
  }
  return found
}

function compareSnapshot(layer: PlanLayer, info: SnapshotInfo, writes: readonly string[]): VerifyProblem[] {
  const problems: VerifyProblem[] = []
  if (info.kind !== 'committed') problems.push({ code: 'KIND_WRONG', actual: info.kind })
  if (info.parent !== layer.parent) problems.push({ code: 'PARENT_WRONG', expected: layer.parent, actual: info.parent })
  const { missing, different, extra } = compareLabels(layer.labels, info.labels, writes)
  for (const key of missing) problems.push({ code: 'LABEL_MISSING', key, expected: layer.labels[key] ?? '' })
  for (const difference of different) problems.push({ code: 'LABEL_DIFFERENT', ...difference })
  for (const key of extra) problems.push({ code: 'LABEL_EXTRA', key, actual: info.labels[key] ?? '' })
  return problems
}

async function verifyConfig(backend: Backend, plan: Plan): Promise<ConfigProblem[]> {
  // A plan without layers has no snapshot that the config could keep.
  if (plan.chainID === '') return []
  const info = await infoOrNone(backend.content, plan.config.digest)
  if (info === undefined) return [{ code: 'CONFIG_MISSING' }]
  const key = gcLabel(plan.snapshotter)
  const actual = info.labels[key]
  if (actual === plan.chainID) return []
  return actual
    ? [{ code: 'GC_LABEL_DIFFERENT', key, expected: plan.chainID, actual }]
    : [{ code: 'GC_LABEL_MISSING', key, expected: plan.chainID }]
}
