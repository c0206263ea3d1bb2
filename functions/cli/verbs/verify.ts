import { LayercastError } from '../../image/errors.ts'
import type { Planned } from '../../plan/document.ts'
import type { VerifyReport } from '../../runner/verify/index.ts'
import { LAYER_COLUMNS, warningText } from '../output/plan.ts'
import { fields, table, type Column } from '../output/table.ts'
import { count, shortDigest, shortLabel } from '../output/text.ts'
import { inputOf, lookUp, planHere } from '../planning.ts'
import { verb } from '../verb.ts'
import { IMAGE, LABELS, PLATFORM, PROFILE, REFERENCE, SNAPSHOTTER } from './options.ts'

export const verifyVerb = verb({
  path: ['verify'],
  group: 'Make images ready',
  summary: "compare what the node has with an image's plan",
  description:
    "Every snapshot of the chain, its kind, its parent and its labels, and the config's label that keeps the chain from the " +
    'garbage collector. Nothing is changed. Exit status 5 where anything is not as planned.',
  arguments: [IMAGE],
  options: {
    snapshotter: { ...SNAPSHOTTER, summary: 'the snapshotter that it should be ready under' },
    platform: PLATFORM,
    profile: PROFILE,
    labels: LABELS,
    reference: REFERENCE,
  },
  examples: [
    { command: 'verify nginx:1.29 --snapshotter native', summary: 'after an unpack' },
    {
      command: "verify nginx:1.29 -s nydus -o json | jq '.layers[].problems[]'",
      summary: 'what is wrong, for a script',
    },
  ],
  async run(context, { args, options }) {
    const { verifyChain } = await import('../../runner/verify/index.ts')
    const planned = await planHere(inputOf(await lookUp(context, args.IMAGE, options), options))
    const report = await verifyChain({ backend: await context.backend(), plan: planned.plan })
    await context.show({ plan: planned.digest, ...report }, () => reportText(planned, report))
    if (report.ok) return
    const wrong = report.layers.filter(({ problems }) => problems.length > 0).length
    const config = report.config.problems.length > 0 ? 'the config' : ''
    const layers = wrong > 0 ? `${wrong} of ${count(report.layers.length, 'layer')}` : ''
    const verbForm = wrong + (config ? 1 : 0) === 1 ? 'is' : 'are'
    throw new LayercastError(
      'VERIFICATION_FAILED',
      `${[layers, config].filter(Boolean).join(' and ')} ${verbForm} not as planned under ${report.snapshotter}`,
      {
        fix: `Run 'layercast unpack ${args.IMAGE} --snapshotter ${report.snapshotter}'; snapshots that are there with other labels must be removed first.`,
        detail: { plan: planned.digest, layers: wrong },
      },
    )
  },
})

/** Each layer with what is wrong with it. */
function reportText({ plan }: Planned, report: VerifyReport): string {
  const rows = plan.layers.map((layer, index) => ({ ...layer, problems: report.layers[index]?.problems ?? [] }))
  const layers = table(rows, [
    ...(LAYER_COLUMNS as readonly Column<(typeof rows)[number]>[]),
    {
      title: 'FOUND',
      value: ({ problems }) => (problems.length === 0 ? 'as planned' : problems.map(problemText).join('; ')),
    },
  ])
  const config = report.config.problems.length === 0 ? 'as planned' : report.config.problems.map(problemText).join('; ')
  const end = fields([
    ['image', plan.reference],
    ['snapshotter', plan.snapshotter],
    ['chain ID', plan.chainID || '- (nothing to unpack)'],
    ['config', config],
  ])
  return `${plan.layers.length > 0 ? `${layers}\n` : ''}${end}${warningText(plan.warnings)}`
}

type Problem = VerifyReport['layers'][number]['problems'][number] | VerifyReport['config']['problems'][number]

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
