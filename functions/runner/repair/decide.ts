/** Decides what a repair has to do, from the report of verify and from nothing else. */
import type { Digest } from '../../image/digest.ts'
import type { Labels } from '../../node/ports.ts'
import type { Plan, PlanLayer } from '../../plan/document.ts'
import { isOneOf, profileOf, type Profile } from '../../plan/profiles.ts'
import type { VerifiedLayer, VerifyProblem, VerifyReport } from '../verify/types.ts'
import { isLabelProblem } from '../verify/verify.ts'

/** One snapshot whose labels are changed in place. An empty value removes a label. */
export interface LabelUpdate {
  index: number
  chainID: Digest
  labels: Labels
}

/** One snapshot that is removed and made again. */
export interface Removal {
  index: number
  chainID: Digest
  why: 'wrong kind' | 'wrong parent' | 'wrong tree' | 'decided at Prepare by its labels' | 'stands on one of these'
}

export interface Decision {
  update: LabelUpdate[]
  /** From the top down. */
  remove: Removal[]
  /** The indexes of the layers that are unpacked: those that are removed, and those that are missing. */
  make: number[]
  /** Whether the config's gc label is written. */
  labelConfig: boolean
}

/**
 * Labels are changed in place where that is enough. These are made again, each with all snapshots above it: a snapshot of the wrong
 * kind, on the wrong parent or with the wrong tree; and one with a wrong label that a remote snapshotter read at Prepare
 * (functions/node/containerd/FACTS.md section 4).
 *
 * @param wrongTree the index of the lowest layer with a wrong tree, where the trees were compared
 */
export function decide(plan: Plan, report: VerifyReport, wrongTree?: number): Decision {
  const profile = profileOf(plan)
  const whys = report.layers.map(
    (layer) => whyRemake(layer, profile) ?? (layer.index === wrongTree ? 'wrong tree' : undefined),
  )
  const lowest = whys.findIndex((why) => why !== undefined)
  const from = lowest === -1 ? plan.layers.length : lowest
  const there = report.layers.map((layer) => !isMissing(layer))
  const remove = report.layers
    .slice(from)
    .filter((layer) => there[layer.index])
    .map(({ index, chainID }): Removal => ({ index, chainID, why: whys[index] ?? 'stands on one of these' }))
    .toReversed()
  const update = report.layers.slice(0, from).flatMap((layer) => updateOf(layer, plan.layers[layer.index]))
  const make = report.layers.flatMap(({ index }) => (index >= from || !there[index] ? [index] : []))
  const labelConfig = plan.chainID !== '' && (remove.length > 0 || report.config.problems.length > 0)
  return { update, remove, make, labelConfig }
}

/** Whether there is nothing to do. */
export function nothingToDo({ update, remove, make, labelConfig }: Decision): boolean {
  return update.length === 0 && remove.length === 0 && make.length === 0 && !labelConfig
}

function whyRemake({ problems }: VerifiedLayer, profile: Profile): Removal['why'] | undefined {
  if (problems.some(({ code }) => code === 'KIND_WRONG')) return 'wrong kind'
  if (problems.some(({ code }) => code === 'PARENT_WRONG')) return 'wrong parent'
  if (!profile.mayTake) return undefined
  const decisive = [...profile.requires, ...profile.reads]
  const changed = problems.some(
    (problem) => isLabelProblem(problem) && 'key' in problem && isOneOf(decisive, problem.key),
  )
  return changed ? 'decided at Prepare by its labels' : undefined
}

function isMissing({ problems }: VerifiedLayer): boolean {
  return problems.some(({ code }) => code === 'SNAPSHOT_MISSING')
}

function updateOf({ index, chainID, problems }: VerifiedLayer, planned: PlanLayer | undefined): LabelUpdate[] {
  const changes = problems.flatMap((problem: VerifyProblem): [string, string][] => {
    if (problem.code === 'LABEL_EXTRA') return [[problem.key, '']]
    if (problem.code === 'LABEL_MISSING' || problem.code === 'LABEL_DIFFERENT') {
      return [[problem.key, planned?.labels[problem.key] ?? '']]
    }
    return []
  })
  return changes.length === 0 ? [] : [{ index, chainID, labels: Object.fromEntries(changes) }]
}
