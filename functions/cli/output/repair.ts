/** What a repair found and did, or would do, as a person reads it. */

import type { PlanWarning, Planned } from '../../plan/document.ts'
import type { RepairDryRun, RepairResult } from '../../runner/repair/types.ts'
import { stateText } from '../../runner/verify/state.ts'
import { fields, table } from '../program/table.ts'
import { count, shortDigest, shortLabel } from '../program/text.ts'
import { LAYER_COLUMNS, warningText } from './plan.ts'
import { configText, foundText, treeFields } from './verify.ts'

/** Each layer with its problems and what was done about them, then the whole chain, and in a dry run who uses it. */
export function repairText({ plan }: Planned, found: RepairDryRun | RepairResult): string {
  const { before, decision, tree, leftovers } = found
  const dry = !('after' in found)
  const rows = plan.layers.map((layer, index) => ({ ...layer, index, found: before.layers[index] }))
  const layers = table(rows, [
    ...LAYER_COLUMNS,
    { title: 'FOUND', value: (row) => (row.found === undefined ? '' : foundText(row.found)) },
    { title: dry ? 'WOULD BE' : 'DONE', value: ({ index }) => actionText(found, index) },
  ])
  const end = fields([
    ['image', plan.reference],
    ['snapshotter', plan.snapshotter],
    ['chain ID', plan.chainID || '- (nothing to unpack)'],
    ['config', `${configText(before)}${decision.labelConfig ? `; ${dry ? 'would be labelled' : 'labelled'}` : ''}`],
    ['found', stateText(before)],
    ...(dry ? [] : found.healed).map((digest): [string, string] => ['replaced', `damaged blob ${digest}`]),
    ...(tree === undefined ? [] : treeFields(tree)),
    ...leftovers.map((key): [string, string] => [dry ? 'would remove' : 'removed', key]),
    ['now', dry ? undefined : nowText(found)],
  ])
  const users = dry ? found.users : []
  const inTheWay =
    users.length === 0
      ? ''
      : `\nin use by\n${fields(users.map(({ what, name, snapshot }) => [`  ${what}`, `${name} (on ${shortDigest(snapshot)})`]))}`
  return `${plan.layers.length > 0 ? `${layers}\n` : ''}${end}${inTheWay}${warningText(warningsOf({ plan }, found))}`
}

/** The warnings of the unpack where there was one, which include the plan's; else the plan's. */
export function warningsOf({ plan }: Pick<Planned, 'plan'>, found: RepairDryRun | RepairResult): PlanWarning[] {
  return ('after' in found ? found.unpacked?.warnings : undefined) ?? plan.warnings
}

function nowText({ after, treeAfter }: RepairResult): string {
  const tree = treeAfter === undefined ? '' : treeFields(treeAfter).map(([name, text]) => `; ${name} ${text}`)
  return `${stateText(after)}${[...tree].join('')}`
}

function actionText({ decision }: RepairDryRun | RepairResult, index: number): string {
  const removal = decision.remove.find((each) => each.index === index)
  if (removal !== undefined) return `made again: ${removal.why}`
  const update = decision.update.find((each) => each.index === index)
  if (update !== undefined) {
    const keys = Object.keys(update.labels)
    return `labelled in place (${keys.length > 3 ? count(keys.length, 'label') : keys.map(shortLabel).join(', ')})`
  }
  return decision.make.includes(index) ? 'unpacked' : 'kept'
}
