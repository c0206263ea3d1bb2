/** `layercast verify` */

import { LayercastError } from '../../errors.ts'
import type { Backend } from '../../node/ports.ts'
import type { VerifiedImage } from '../../runner/verify/all.ts'
import type { CompareOptions } from '../../runner/verify/compare-tree.ts'
import { stateText } from '../../runner/verify/state.ts'
import type { TreeReport, VerifyReport } from '../../runner/verify/types.ts'
import { treeFields, treesNotCompared, verifyText } from '../output/verify.ts'
import type { Context } from '../program/context.ts'
import { errorData } from '../program/failure.ts'
import { table } from '../program/table.ts'
import { count, lazyText, shellWord } from '../program/text.ts'
import { usage } from '../program/usage.ts'
import { verb } from '../program/verb.ts'
import { lookUp } from './shared/image.ts'
import { tellOperation } from './shared/operation-events.ts'
import {
  CONTAINERD_CONFIG,
  IMAGE,
  LABELS,
  ONE_RUNTIME_HANDLER,
  PLATFORM,
  PROFILE,
  REFERENCE,
} from './shared/options.ts'
import { planImage, type PlanFlags } from './shared/plan-input.ts'
import { oneSnapshotter } from './shared/runtime-handlers.ts'

export const verifyVerb = verb({
  path: ['verify'],
  group: 'Make images ready',
  summary: "compare what the node has with an image's plan",
  description:
    "Every snapshot of the chain, its kind, its parent and its labels, and the config's label that keeps the chain from the " +
    'garbage collector. With --deep the files too. Nothing is changed. Exit status 5 where anything is not as planned, ' +
    '3 where all that could be looked at is, and a tree could not be compared.',
  arguments: [{ ...IMAGE, optional: true }],
  options: {
    snapshotter: {
      short: 's',
      value: 'NAME',
      env: 'CONTAINERD_SNAPSHOTTER',
      summary: 'the snapshotter that it should be ready under (with --all: every one that an image is unpacked under)',
    },
    runtimeHandler: ONE_RUNTIME_HANDLER,
    containerdConfig: CONTAINERD_CONFIG,
    all: { summary: 'every image of the node' },
    deep: { summary: 'compare the tree under the snapshotter with what the layers describe' },
    contents: { summary: 'with --deep: compare the content of the files too' },
    platform: PLATFORM,
    profile: PROFILE,
    labels: LABELS,
    reference: REFERENCE,
  },
  examples: [
    { command: 'verify nginx:1.29 --snapshotter native', summary: 'after an unpack' },
    { command: 'verify --all -n k8s.io', summary: 'everything that the kubelet has pulled' },
    { command: 'verify nginx:1.29 -s erofs --deep', summary: 'deleted files that came back, and the like' },
    {
      command: "verify nginx:1.29 -s nydus -o json | jq '.layers[].problems[]'",
      summary: 'what is wrong, for a script',
    },
  ],
  async run(context, { args, options }) {
    if (options.contents && !options.deep) throw usage('--contents is given without --deep', 'Give --deep too.')
    if (options.all) {
      if (args.IMAGE !== undefined) throw usage('IMAGE and --all are given', 'Give one of them.')
      if (options.reference !== undefined) throw usage('--reference goes with one IMAGE', 'Leave it away.')
      const { runtimeHandler } = options
      const handled = runtimeHandler === undefined ? undefined : await oneSnapshotter(context, options)
      return await verifyEvery(context, { ...options, snapshotter: handled ?? options.snapshotter })
    }
    if (args.IMAGE === undefined) throw usage('no IMAGE is given', 'Name an image, or give --all.')
    const snapshotter = await oneSnapshotter(context, options)
    await verifyOne(context, args.IMAGE, { ...options, snapshotter })
  },
})

async function verifyOne(
  context: Context,
  image: string,
  options: PlanFlags & { deep: boolean; contents: boolean },
): Promise<void> {
  const { verifyChain } = await import('../../runner/verify/verify.ts')
  const planned = await planImage(await lookUp(context, image, { ...options, onNode: true }), options)
  const backend = await context.backend()
  const { plan } = planned
  const tree = options.deep ? await compare(context, { backend, plan, contents: options.contents }) : undefined
  // Last, so that a snapshot that is removed while the trees are compared is reported as missing.
  const report = await verifyChain({ backend, plan })
  const warnings = [...plan.warnings, ...report.warnings]
  await context.show({ plan: planned.digest, ...report, tree, warnings }, () => verifyText(planned, report, tree))
  if (report.ok && (tree?.ok ?? true)) {
    if (tree !== undefined && tree.notCompared.length > 0) throw treesNotCompared([tree])
    return
  }
  throw new LayercastError('VERIFICATION_FAILED', `${what(report, tree)} not as planned under ${report.snapshotter}`, {
    fix: `Run 'layercast repair ${shellWord(image)} --snapshotter ${report.snapshotter}${namespaceFlag(context, backend)}${tree?.ok === false ? ' --deep' : ''}'.`,
    detail: {
      plan: planned.digest,
      state: report.state,
      layers: wrongLayers(report),
      ...(tree ? { differences: tree.total } : {}),
    },
  })
}

/** The option that a command in a fix needs to look in the same namespace, with a space before it; empty where it needs none. */
function namespaceFlag({ env }: Context, { namespace }: Backend): string {
  return namespace === undefined || namespace === (env['CONTAINERD_NAMESPACE'] || 'default') ? '' : ` -n ${namespace}`
}

async function compare(context: Context, options: CompareOptions): Promise<TreeReport> {
  const { compareTree } = await import('../../runner/verify/compare-tree.ts')
  return await compareTree({
    ...options,
    signal: context.signal,
    onEvent: (event) => tellOperation(context, event),
  })
}

function wrongLayers(report: VerifyReport): number {
  return report.layers.filter(({ problems }) => problems.length > 0).length
}

function what(report: VerifyReport, tree: TreeReport | undefined): string {
  const wrong = wrongLayers(report)
  const parts = [
    ...(wrong > 0 ? [`${wrong} of ${count(report.layers.length, 'layer')}`] : []),
    ...(report.config.problems.length > 0 ? ['the config'] : []),
    ...(tree?.ok === false ? ['the tree'] : []),
  ]
  return `${parts.join(' and ')} ${parts.length === 1 && wrong <= 1 ? 'is' : 'are'}`
}

type AllOptions = Pick<PlanFlags, 'platform' | 'profile' | 'labels'> & {
  snapshotter: string | undefined
  deep: boolean
  contents: boolean
}

async function verifyEvery(context: Context, options: AllOptions): Promise<void> {
  const { verifyAll } = await import('../../runner/verify/all.ts')
  const { deep, contents, snapshotter, platform, profile, labels } = options
  const found: VerifiedImage[] = []
  const backend = await context.backend()
  for await (const image of verifyAll({
    backend,
    signal: context.signal,
    onEvent: (event) => tellOperation(context, event),
    deep,
    contents,
    snapshotter,
    platform,
    profile,
    labels,
  })) {
    found.push(image)
  }
  await context.show(found.map(asJSON), () => everyText(found, backend))
  const failed = found.filter(isWrong)
  if (failed.length === 0) {
    const partly = found.flatMap(({ tree }) => (tree !== undefined && tree.notCompared.length > 0 ? [tree] : []))
    if (partly.length > 0) throw treesNotCompared(partly)
    return
  }
  const names = [...new Set(failed.map(({ names: [name] }) => name))]
  throw new LayercastError(
    'VERIFICATION_FAILED',
    `${failed.length} of ${found.length} are not as planned: ${names.slice(0, 5).join(', ')}${names.length > 5 ? ' …' : ''}`,
    {
      fix: "Look at each with 'layercast verify IMAGE --snapshotter NAME', and mend it with 'layercast repair'.",
      detail: { images: names },
    },
  )
}

function isWrong({ report, tree, error, otherPlatform }: VerifiedImage): boolean {
  if (error !== undefined) return otherPlatform !== true
  return report?.ok === false || tree?.ok === false
}

function asJSON({ names, snapshotter, planned, report, tree, noTree, error, otherPlatform }: VerifiedImage) {
  return {
    names,
    snapshotter: snapshotter ?? null,
    ok: isOk(report, tree),
    plan: planned?.digest,
    report,
    tree,
    noTree,
    error: error && errorData(error),
    otherPlatform,
  }
}

/** Null where there is no answer: nothing is unpacked, or a part of the tree could not be compared. */
function isOk(report: VerifyReport | undefined, tree: TreeReport | undefined): boolean | null {
  if (report === undefined) return null
  if (!report.ok || tree?.ok === false) return false
  return tree !== undefined && tree.notCompared.length > 0 ? null : true
}

function everyText(found: readonly VerifiedImage[], { namespace }: Backend): string {
  if (found.length === 0)
    return `there are no images${namespace === undefined ? '' : ` in the namespace ${namespace}`}\n`
  return table(found, [
    { title: 'IMAGE', value: ({ names }) => names[0] ?? '' },
    { title: 'SNAPSHOTTER', value: ({ snapshotter }) => snapshotter ?? '' },
    { title: 'LAYERS', value: ({ report }) => String(report?.layers.length ?? ''), align: 'right' },
    { title: 'FOUND', value: oneLine },
  ])
}

function oneLine({ report, tree, noTree, error, otherPlatform }: VerifiedImage): string {
  if (otherPlatform) return 'not for this platform'
  if (error) return `${error.message} (${error.code})`
  if (report === undefined) return 'unpacked nowhere'
  const chain = report.chainID === '' ? 'nothing to unpack' : stateText(report)
  const lazy = report.lazy === undefined ? [] : [`lazy: ${lazyText(report.lazy)}`]
  const files = tree ? treeFields(tree).map(([name, text]) => `${name} ${text}`) : noTree ? [noTree] : []
  return [chain, ...lazy, ...files].join('; ')
}
