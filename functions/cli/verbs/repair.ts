import { LayercastError } from '../../image/errors.ts'
import type { Planned } from '../../plan/document.ts'
import type { RepairDryRun, RepairResult } from '../../runner/repair/index.ts'
import { BLOB_FIX } from '../../runner/supply/text.ts'
import { stateText } from '../../runner/verify/state.ts'
import type { Context } from '../context.ts'
import { LAYER_COLUMNS, warningText } from '../output/plan.ts'
import { createProgress } from '../output/progress.ts'
import { fields, table, type Column } from '../output/table.ts'
import { count, shortDigest, shortLabel } from '../output/text.ts'
import { configText, foundText, treeFields } from '../output/verify.ts'
import { inputOf, lookUp, planHere } from '../planning.ts'
import { blobWays, type UnpackingOptions } from '../unpacking.ts'
import { verb } from '../verb.ts'
import {
  APPLIER,
  DRY_RUN,
  FROM_SNAPSHOTTER,
  IMAGE,
  LABELS,
  PLATFORM,
  PROFILE,
  REFERENCE,
  SNAPSHOTTER,
  SOURCE,
} from './options.ts'

export const repairVerb = verb({
  path: ['repair'],
  group: 'Make images ready',
  summary: "make what the node has what an image's plan says",
  description:
    'Labels are changed in place where that is enough. Where it is not (a wrong parent, a wrong tree, labels by which a ' +
    'remote snapshotter decided), snapshots are removed from the top down and unpacked again, unless a container or ' +
    'another image stands on them: then nothing is changed, and they are named.',
  arguments: [IMAGE],
  options: {
    snapshotter: { ...SNAPSHOTTER, summary: 'the snapshotter that it should be ready under' },
    deep: { summary: 'compare the files with what the layers describe, and make again what differs' },
    contents: { summary: 'with --deep: the content of the files counts too' },
    source: SOURCE,
    fromSnapshotter: FROM_SNAPSHOTTER,
    applier: APPLIER,
    dryRun: DRY_RUN,
    platform: PLATFORM,
    profile: PROFILE,
    labels: LABELS,
    reference: REFERENCE,
  },
  examples: [
    { command: 'repair nginx:1.29 -s nydus -n k8s.io', summary: 'a chain that was unpacked without labels' },
    { command: 'repair nginx:1.29 -s erofs --deep --dry-run', summary: 'what would be made again, and who uses it' },
  ],
  async run(context, { args, options }) {
    if (options.contents && !options.deep) {
      throw new LayercastError('USAGE', '--contents is given without --deep', { fix: 'Give --deep too.' })
    }
    const planned = await planHere(inputOf(await lookUp(context, args.IMAGE, options), options))
    await repairPlan(context, planned, options)
  },
})

/**
 * Repairs what a plan made, or says what would be done, and prints it. Errors as `repairChain`; VERIFICATION_FAILED where
 * it is not all well afterwards.
 */
async function repairPlan(
  context: Context,
  planned: Planned,
  options: UnpackingOptions & { deep: boolean; contents: boolean; dryRun: boolean },
): Promise<void> {
  const { dryRunRepair, inUse, repairChain } = await import('../../runner/repair/index.ts')
  const progress = createProgress(context.streams)
  const repair = {
    backend: await context.backend(),
    planned,
    deep: options.deep,
    contents: options.contents,
    blobs: blobWays(options),
    signal: context.signal,
    // The parser has checked it against the option's choices.
    ...(options.applier !== undefined && { applier: options.applier as 'containerd' | 'own' }),
  }
  if (options.dryRun) {
    const found = await dryRunRepair(repair)
    await context.show(found, () => repairText(planned, found))
    if (found.users.length > 0) throw inUse(planned.plan, found.decision.remove.length, found.users)
    if (found.missing.length > 0) throw missingBlobs(found)
    return
  }
  let result: RepairResult
  try {
    result = await repairChain({
      ...repair,
      onEvent: (event) => {
        if (event.type === 'labels') context.detail(`labelled ${event.update.chainID}`)
        if (event.type === 'removed') context.detail(`removed ${event.removal.chainID}: ${event.removal.why}`)
        if (event.type === 'leftover') context.detail(`removed ${event.key}`)
        if (event.type === 'gc-label') context.detail(`gc label ${event.step}`)
        if (event.type !== 'progress') return
        const label = `layer ${event.index + 1}/${planned.plan.layers.length} ${shortDigest(event.digest)}`
        progress.set(String(event.index), { label, state: 'applying', done: event.bytes, total: event.total })
      },
    })
  } finally {
    progress.end()
  }
  await context.show(result, () => repairText(planned, result))
  if (result.ok) return
  throw new LayercastError(
    'VERIFICATION_FAILED',
    `not all is as planned under ${result.snapshotter} after the repair`,
    {
      fix:
        result.treeAfter?.ok === false
          ? 'The applier that was used writes another tree than the layers describe: repair with --applier own.'
          : 'Something else changes these snapshots: see what runs on the node, and run again.',
      detail: { plan: planned.digest, state: result.after.state },
    },
  )
}

function missingBlobs({ missing }: RepairDryRun): LayercastError {
  return new LayercastError(
    'BLOB_NOT_FOUND',
    `a repair would be refused: the node does not have ${missing.join(', ')}`,
    {
      fix: BLOB_FIX,
      detail: { digests: missing },
    },
  )
}

function repairText({ plan }: Planned, found: RepairDryRun | RepairResult): string {
  const { before, decision, tree, leftovers } = found
  const dry = !('after' in found)
  const rows = plan.layers.map((layer, index) => ({ ...layer, index, found: before.layers[index] }))
  const layers = table(rows, [
    ...(LAYER_COLUMNS as readonly Column<(typeof rows)[number]>[]),
    { title: 'FOUND', value: (row) => (row.found === undefined ? '' : foundText(row.found)) },
    { title: dry ? 'WOULD BE' : 'DONE', value: ({ index }) => actionText(found, index) },
  ])
  const end = fields([
    ['image', plan.reference],
    ['snapshotter', plan.snapshotter],
    ['chain ID', plan.chainID || '- (nothing to unpack)'],
    ['config', `${configText(before)}${decision.labelConfig ? `; ${dry ? 'would be labelled' : 'labelled'}` : ''}`],
    ['found', stateText(before)],
    ...(tree === undefined ? [] : treeFields(tree)),
    ...leftovers.map((key): [string, string] => [dry ? 'would remove' : 'removed', key]),
    ['now', dry ? undefined : nowText(found)],
  ])
  const users = dry ? found.users : []
  const inTheWay =
    users.length === 0
      ? ''
      : `\nin use by\n${fields(users.map(({ what, name, snapshot }) => [`  ${what}`, `${name} (on ${shortDigest(snapshot)})`]))}`
  return `${plan.layers.length > 0 ? `${layers}\n` : ''}${end}${inTheWay}${warningText(plan.warnings)}`
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
