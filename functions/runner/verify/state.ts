/** The state of a chain, as one word and as a sentence. */
import type { PlanLayer } from '../../plan/document.ts'
import type { ChainState, VerifiedLayer, VerifyReport } from './types.ts'

type Found = Pick<VerifyReport, 'layers' | 'config' | 'leftovers'>

/** Decides the state by what was found of each layer, the config and other unpackers' snapshots. */
export function stateOf({ layers, config, leftovers }: Found, planned: readonly PlanLayer[]): ChainState {
  const missing = layers.map((layer) => has(layer, 'SNAPSHOT_MISSING'))
  if (layers.some((layer) => has(layer, 'KIND_WRONG') || has(layer, 'PARENT_WRONG'))) return 'broken'
  const firstMissing = missing.indexOf(true)
  if (firstMissing !== -1 && missing.slice(firstMissing).includes(false)) return 'broken'
  if (firstMissing === 0) return leftovers.length === 0 ? 'absent' : 'partial'
  if (firstMissing > 0) return 'partial'
  if (layers.some((layer) => layer.problems.length > 0)) {
    return layers.every((layer, index) => isBare(layer, planned[index])) ? 'unlabelled' : 'mislabelled'
  }
  if (config.problems.length > 0) return 'unheld'
  return layers.length > 0 && layers.every((layer) => layer.labelledFor !== undefined) ? 'foreign' : 'ready'
}

function has({ problems }: VerifiedLayer, code: string): boolean {
  return problems.some((problem) => problem.code === code)
}

/** Whether every planned label is missing. */
function isBare({ problems }: VerifiedLayer, planned: PlanLayer | undefined): boolean {
  const lacking = problems.filter(({ code }) => code === 'LABEL_MISSING').length
  return lacking > 0 && lacking === Object.values(planned?.labels ?? {}).filter((value) => value !== '').length
}

/** The state in words for a person. */
export function stateText(report: VerifyReport): string {
  const { layers, snapshotter } = report
  const there = layers.filter((layer) => !has(layer, 'SNAPSHOT_MISSING')).length
  const leftovers =
    report.leftovers.length === 0
      ? ''
      : `; ${report.leftovers.length} left or still at work from unpacking it (${report.leftovers.join(', ')})`
  switch (report.state) {
    case 'ready':
      return `ready${leftovers}`
    case 'absent':
      return `absent: nothing of it is under ${snapshotter}`
    case 'partial':
      return `partial: ${there} of ${layers.length} layers are there, the upper ones are missing${leftovers}`
    case 'unlabelled':
      return `unlabelled: whole, but made by an unpacker that sends no labels (ctr image mount, ctr snapshots unpack, nerdctl)${leftovers}`
    case 'mislabelled':
      return `mislabelled: whole, with other labels than planned${leftovers}`
    case 'foreign':
      return `foreign: whole, and labelled for ${names(layers)}, which has the same layers${leftovers}`
    case 'unheld':
      return `unheld: whole, but nothing keeps it from the garbage collector${leftovers}`
    case 'broken':
      return `broken: a snapshot has the wrong parent or kind, or is missing below others${leftovers}`
  }
}

function names(layers: readonly VerifiedLayer[]): string {
  return [...new Set(layers.map((layer) => layer.labelledFor ?? ''))].join(', ')
}
