import type { Digest } from '../../image/digest.ts'
import type { Plan, PlanLayer } from '../../plan/document.ts'
import type { Backend, SnapshotInfo, SnapshotKind } from '../ports.ts'
import { hasCode } from '../../image/errors.ts'
import { gcLabel } from './gc-label.ts'
import { compareLabels } from './labels.ts'

/** One thing that is not as the plan says. */
export type VerifyProblem =
  | { code: 'SNAPSHOT_MISSING' }
  | { code: 'KIND_WRONG'; actual: SnapshotKind }
  | { code: 'PARENT_WRONG'; expected: string; actual: string }
  | { code: 'LABEL_MISSING'; key: string; expected: string }
  | { code: 'LABEL_DIFFERENT'; key: string; expected: string; actual: string }
  /** A label of the kind that plans write, which this plan does not. */
  | { code: 'LABEL_EXTRA'; key: string; actual: string }

export interface VerifiedLayer {
  index: number
  digest: Digest
  chainID: Digest
  problems: VerifyProblem[]
}

/** What is wrong with the config blob, which keeps the chain from the garbage collector. */
export type ConfigProblem =
  | { code: 'CONFIG_MISSING' }
  | { code: 'GC_LABEL_MISSING'; key: string; expected: string }
  | { code: 'GC_LABEL_DIFFERENT'; key: string; expected: string; actual: string }

export interface VerifyReport {
  /** Everything is as the plan says. */
  ok: boolean
  reference: string
  snapshotter: string
  chainID: Digest | ''
  layers: VerifiedLayer[]
  config: { digest: Digest; problems: ConfigProblem[] }
}

/**
 * Compares what a node has with a plan: each layer's snapshot, its kind, its parent and every label, and the gc label of
 * the config blob. Changes nothing; whether a problem is an error is the caller's to say. SNAPSHOTTER_NOT_FOUND,
 * CONTAINERD_*.
 */
export async function verifyChain({ backend, plan }: { backend: Backend; plan: Plan }): Promise<VerifyReport> {
  const snapshotter = backend.snapshotter(plan.snapshotter)
  const layers: VerifiedLayer[] = []
  for (const [index, layer] of plan.layers.entries()) {
    const info = await orMissing(snapshotter.stat(layer.chainID))
    const problems = info === undefined ? [{ code: 'SNAPSHOT_MISSING' as const }] : compareSnapshot(layer, info)
    layers.push({ index, digest: layer.descriptor.digest, chainID: layer.chainID, problems })
  }
  const config = { digest: plan.config.digest, problems: await verifyConfig(backend, plan) }
  const ok = config.problems.length === 0 && layers.every(({ problems }) => problems.length === 0)
  return { ok, reference: plan.reference, snapshotter: plan.snapshotter, chainID: plan.chainID, layers, config }
}

function compareSnapshot(layer: PlanLayer, info: SnapshotInfo): VerifyProblem[] {
  const problems: VerifyProblem[] = []
  if (info.kind !== 'committed') problems.push({ code: 'KIND_WRONG', actual: info.kind })
  if (info.parent !== layer.parent) problems.push({ code: 'PARENT_WRONG', expected: layer.parent, actual: info.parent })
  const { missing, different, extra } = compareLabels(layer.labels, info.labels)
  for (const key of missing) problems.push({ code: 'LABEL_MISSING', key, expected: layer.labels[key] ?? '' })
  for (const difference of different) problems.push({ code: 'LABEL_DIFFERENT', ...difference })
  for (const key of extra) problems.push({ code: 'LABEL_EXTRA', key, actual: info.labels[key] ?? '' })
  return problems
}

async function verifyConfig(backend: Backend, plan: Plan): Promise<ConfigProblem[]> {
  // A plan of no layers makes nothing that the config could keep.
  if (plan.chainID === '') return []
  const info = await orMissing(backend.content.info(plan.config.digest))
  if (info === undefined) return [{ code: 'CONFIG_MISSING' }]
  const key = gcLabel(plan.snapshotter)
  const actual = info.labels[key]
  if (actual === plan.chainID) return []
  return actual
    ? [{ code: 'GC_LABEL_DIFFERENT', key, expected: plan.chainID, actual }]
    : [{ code: 'GC_LABEL_MISSING', key, expected: plan.chainID }]
}

async function orMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (hasCode(error, 'SNAPSHOT_NOT_FOUND', 'BLOB_NOT_FOUND')) return undefined
    throw error
  }
}
