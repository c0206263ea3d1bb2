/** What verify and repair found, as a person reads it. */

import { LayercastError } from '../../errors.ts'
import type { TreeDifference } from '../../layer/compare/tree-comparison.ts'
import type { Planned } from '../../plan/document.ts'
import { stateText } from '../../runner/verify/state.ts'
import type { TreeReport } from '../../runner/verify/types.ts'
import type { VerifyReport } from '../../runner/verify/types.ts'
import { fields, table } from '../program/table.ts'
import { count, shortDigest, shortLabel, lazyText } from '../program/text.ts'
import { LAYER_COLUMNS, warningText } from './plan.ts'

type Problem = VerifyReport['layers'][number]['problems'][number] | VerifyReport['config']['problems'][number]

/** How many differing paths a table shows at most. JSON has more. */
const SHOWN_PATHS = 40

/** Each layer with its problems, the state of the whole chain, and the tree where it was compared. */
export function verifyText({ plan }: Planned, report: VerifyReport, tree?: TreeReport): string {
  const rows = plan.layers.map((layer, index) => ({ ...layer, found: report.layers[index] }))
  const layers = table(rows, [
    ...LAYER_COLUMNS,
    { title: 'FOUND', value: ({ found }) => (found === undefined ? '' : foundText(found)) },
  ])
  const end = fields([
    ['image', plan.reference],
    ['snapshotter', plan.snapshotter],
    ['chain ID', plan.chainID || '- (nothing to unpack)'],
    ['lazy', lazyText(report.lazy)],
    ['config', configText(report)],
    ['state', plan.chainID === '' ? undefined : stateText(report)],
    ...(tree === undefined ? [] : treeFields(tree)),
  ])
  const paths = tree === undefined || tree.total === 0 ? '' : `\n${treeText(tree)}`
  return `${plan.layers.length > 0 ? `${layers}\n` : ''}${end}${paths}${warningText([...plan.warnings, ...report.warnings])}`
}

/** The problems of one layer, or `as planned`. */
export function foundText({ problems, labelledFor, unplanned = [] }: VerifyReport['layers'][number]): string {
  const wrong = problems.map(problemText).join('; ')
  const other = labelledFor === undefined ? '' : `labelled for ${labelledFor}`
  const besides = unplanned.length === 0 ? '' : `besides: ${unplanned.map(shortLabel).join(', ')}`
  return [other, wrong || (other ? '' : 'as planned'), besides].filter(Boolean).join('; ')
}

/** The problems of the config, or `as planned`. */
export function configText({ config }: VerifyReport): string {
  return config.problems.length === 0 ? 'as planned' : config.problems.map(problemText).join('; ')
}

/** The result of comparing a tree in one line, and lines for what could not be compared. */
export function treeFields(tree: TreeReport): [string, string][] {
  const of = `${count(tree.entries, 'file')} of ${count(tree.compared, 'layer')}${tree.contents ? ', contents too' : ''}`
  const result = tree.lost
    ? `not there: layer ${tree.lost.index + 1}, snapshot ${tree.lost.chainID}, has lost its directory${tree.lost.path === undefined ? '' : ` ${tree.lost.path}`}`
    : tree.compared === 0
      ? 'not compared'
      : tree.ok
        ? `as the layers describe it (${of})`
        : `${count(tree.total, 'difference')} (${of})`
  const lines: [string, string][] = [['tree', result]]
  const reasons = tree.notCompared.filter(({ why }) => why !== 'above one of these')
  if (tree.notCompared.length > 0) {
    const named = reasons.map(({ index, why }) => `layer ${index + 1}: ${why}`).join(', ')
    lines.push(['not compared', `${count(tree.notCompared.length, 'layer')} (${named})`])
  }
  if (tree.unsure.length > 0) {
    const devices = tree.unsure.filter(({ code }) => code === 'MISSING').length
    const attributes = tree.unsure.length - devices
    const texts = [
      ...(attributes > 0
        ? [`${count(attributes, 'attribute')} that no file here has: the file system may know none`]
        : []),
      ...(devices > 0 ? [`${count(devices, 'device node')} not there: a user namespace can make none`] : []),
    ]
    lines.push(['not sure', texts.join('; ')])
  }
  return lines
}

/** BLOB_NOT_FOUND: what was compared is as planned, and some layers could not be compared, so the answer is neither yes nor no. */
export function treesNotCompared(trees: readonly Pick<TreeReport, 'notCompared'>[]): LayercastError {
  const layers = trees.flatMap((tree) => tree.notCompared)
  const missing = layers.filter(({ why }) => why === 'blob missing').map(({ digest }) => digest)
  const digests = [...new Set(missing)]
  return new LayercastError(
    'BLOB_NOT_FOUND',
    `the tree of ${count(layers.length, 'layer')} could not be compared: ${layers[0]?.why ?? ''} (${digests.join(', ') || layers[0]?.digest})`,
    { fix: 'Fetch the blobs again: pull the image, or import it.', detail: { digests } },
  )
}

function treeText({ differences, total }: TreeReport): string {
  const shown = differences.slice(0, SHOWN_PATHS)
  const paths = table(shown, [
    { title: 'PATH', value: ({ path }) => path },
    { title: 'FOUND', value: differenceText },
  ])
  const more = total - shown.length
  return `${paths}${more > 0 ? `and ${more} more (-o json has the first 1000)\n` : ''}`
}

function differenceText(difference: TreeDifference): string {
  switch (difference.code) {
    case 'MISSING':
      return `not there: ${difference.expected}`
    case 'EXTRA':
      return `${difference.actual} that no layer describes`
    case 'DELETED_BACK':
      return `${difference.actual} that layer ${difference.layer + 1} deletes`
    case 'SIZE':
      return `${count(difference.actual, 'byte')}, not ${difference.expected}`
    case 'XATTR': {
      const actual = difference.actual === null ? 'is not there' : `is 0x${difference.actual}`
      return `${difference.name} ${actual}${difference.expected === null ? '' : `, not 0x${difference.expected}`}`
    }
    case 'CONTENT':
      return 'other content'
    default:
      return `${difference.code.toLowerCase()} ${difference.actual}, not ${difference.expected}`
  }
}

function problemText(problem: Problem): string {
  switch (problem.code) {
    case 'SNAPSHOT_MISSING':
      return 'not there'
    case 'KIND_WRONG':
      return `${problem.actual}, not committed`
    case 'PARENT_WRONG':
      return `stands on ${shortDigest(problem.actual)}, not on ${shortDigest(problem.expected)}`
    case 'LABEL_MISSING':
      return `lacks ${shortLabel(problem.key)}`
    case 'LABEL_DIFFERENT':
      return `${shortLabel(problem.key)} is ${problem.actual}, not ${problem.expected}`
    case 'LABEL_EXTRA':
      return `has ${shortLabel(problem.key)}, which the plan does not`
    case 'CONFIG_MISSING':
      return 'the config blob is not there'
    case 'GC_LABEL_MISSING':
      return `lacks ${problem.key}, which keeps the chain from the garbage collector`
    case 'GC_LABEL_DIFFERENT':
      return `${problem.key} is ${problem.actual}, not ${problem.expected}`
  }
}
