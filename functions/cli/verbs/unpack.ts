/** `layercast unpack` */

import { hasCode, LayercastError } from '../../errors.ts'
import { CRI_NAMESPACE } from '../../node/cri-namespace.ts'
import type { PlanWarning, Planned } from '../../plan/document.ts'
import type { NamedImage } from '../../runner/images/named-image.ts'
import type { SandboxImage } from '../../runner/runtime-handlers/sandbox-image.ts'
import type { RuntimeHandlerTarget } from '../../runner/runtime-handlers/targets.ts'
import { isSpec } from '../../runner/sources/spec.ts'
import { handlersReport, handlersReportText, worstOf, type HandlerEntry } from '../output/runtime-handlers.ts'
import type { Context } from '../program/context.ts'
import { usage } from '../program/usage.ts'
import { verb } from '../program/verb.ts'
import { withImage, type UserImage } from './shared/image.ts'
import {
  ALL_HANDLERS,
  APPLIER,
  CONTAINERD_CONFIG,
  DRY_RUN,
  FROM_SNAPSHOTTER,
  IMAGE,
  LABELS,
  PLATFORM,
  PROFILE,
  REFERENCE,
  RUNTIME_HANDLER,
  SEQUENTIAL,
  SNAPSHOTTER_OR_HANDLER,
  SOURCE,
} from './shared/options.ts'
import { planImage, type PlanFlags } from './shared/plan-input.ts'
import { repairPlan } from './shared/repair-operation.ts'
import { chooseSnapshotter, containerdOf, oneSnapshotter } from './shared/runtime-handlers.ts'
import {
  checkBeforeImport,
  dryRunPlan,
  refusalOf,
  runDryRun,
  runUnpack,
  unpackPlan,
  type UnpackFlags,
} from './shared/unpack-operation.ts'

export const unpackVerb = verb({
  path: ['unpack'],
  group: 'Make images ready',
  summary: 'make an image ready under a snapshotter',
  description:
    'An image that the node has is taken as it is, without a pull; one from a source is imported first. ' +
    'Layers that are there stay. It may be stopped at any time and run again, and several may run at once. ' +
    'For runtime handlers the result is a list, one entry for each snapshotter and image.',
  makesPlace: true,
  arguments: [IMAGE],
  options: {
    snapshotter: SNAPSHOTTER_OR_HANDLER,
    runtimeHandler: RUNTIME_HANDLER,
    allHandlers: ALL_HANDLERS,
    containerdConfig: CONTAINERD_CONFIG,
    platform: PLATFORM,
    profile: PROFILE,
    labels: LABELS,
    reference: REFERENCE,
    source: SOURCE,
    fromSnapshotter: FROM_SNAPSHOTTER,
    applier: APPLIER,
    sequential: SEQUENTIAL,
    repair: { summary: "mend or remake what is there and not as planned, as 'layercast repair' does" },
    dryRun: DRY_RUN,
  },
  examples: [
    { command: 'unpack nginx:1.29 --snapshotter native', summary: 'an image that is there for overlayfs' },
    { command: 'unpack nginx:1.29 -s nydus -n k8s.io --dry-run', summary: "the kubelet's, only looked at" },
    { command: 'unpack nginx:1.29 --runtime-handler kata', summary: 'what pods of a runtime class need' },
    {
      command: 'unpack nginx:1.29 --all-handlers',
      summary: 'what pods of any runtime class need, pause image included',
    },
    {
      command: 'unpack nginx:1.29 -s nydus -n k8s.io --repair',
      summary: 'also where a chain without labels is in the way',
    },
    { command: 'unpack nginx:1.29 -s native --source registry', summary: 'layers that were discarded after the pull' },
    { command: 'unpack docker-archive:nginx.tar -s overlayfs --root ./node', summary: 'with no containerd' },
  ],
  async run(context, { args, options }) {
    const chosen = chooseSnapshotter(context, options)
    if (options.repair) return unpackRepairing(context, args.IMAGE, options)
    if ('handlers' in chosen) return unpackForHandlers(context, args.IMAGE, chosen.handlers, options)
    await unpackOne(context, args.IMAGE, { ...options, ...chosen })
  },
})

async function unpackOne(
  context: Context,
  name: string,
  options: PlanFlags & UnpackFlags & { dryRun: boolean },
): Promise<void> {
  const planned = await withImage(context, name, { onNode: true }, async (image) => {
    // Planned before anything is imported, so that an image that cannot be planned changes nothing on the node.
    const made = await planImage(await image.find(options), options)
    if (image.fromSource && !options.dryRun) {
      // Before the first blob is imported, which would be of no use without the snapshotter.
      await checkBeforeImport(context, made, options)
      await image.import(options)
    }
    return made
  })
  if (options.dryRun) return dryRunPlan(context, planned, { ...options, fromSource: isSpec(name) })
  await unpackPlan(context, planned, options)
}

/** `--repair`: a repair unpacks what is missing too; here the image may also come from a source, and is imported first. */
async function unpackRepairing(
  context: Context,
  name: string,
  options: Omit<PlanFlags, 'snapshotter'> &
    UnpackFlags & {
      snapshotter?: string | undefined
      runtimeHandler: readonly string[]
      allHandlers: boolean
      containerdConfig?: string | undefined
      dryRun: boolean
    },
): Promise<void> {
  if (options.allHandlers || options.runtimeHandler.length > 1) {
    throw usage(
      '--repair is given for several runtime handlers',
      'Repair one at a time: --snapshotter NAME, or --runtime-handler NAME once.',
    )
  }
  const snapshotter = await oneSnapshotter(context, { ...options, runtimeHandler: options.runtimeHandler[0] })
  const flags = { ...options, snapshotter }
  const planned = await withImage(context, name, { onNode: true }, async (image) => {
    const made = await planImage(await image.find(flags), flags)
    if (image.fromSource && !options.dryRun) await image.import(flags)
    return made
  })
  await repairPlan(context, planned, { ...options, deep: false, contents: false })
}

interface HandlerFlags extends Omit<PlanFlags, 'snapshotter'>, UnpackFlags {
  dryRun: boolean
  containerdConfig?: string | undefined
}

/**
 * Makes an image ready for runtime handlers, each snapshotter once, and prints one entry for each snapshotter and image. For
 * all handlers the pause image is made ready too. All is planned before anything is changed; then a failure under one
 * snapshotter does not keep the others from being unpacked.
 *
 * @throws LayercastError as `resolveRuntimeHandlers` and the planner; after the report, the worst of what failed
 */
async function unpackForHandlers(
  context: Context,
  name: string,
  handlers: readonly string[] | 'all',
  options: HandlerFlags,
): Promise<void> {
  const { findSandboxImage } = await import('../../runner/runtime-handlers/sandbox-image.ts')
  const { resolveRuntimeHandlers } = await import('../../runner/runtime-handlers/targets.ts')
  const backend = await containerdOf(context, CRI_NAMESPACE)
  const { targets, running } = await resolveRuntimeHandlers(backend, { handlers, configPath: options.containerdConfig })
  if (options.profile !== undefined && targets.length > 1) {
    throw usage(
      `--profile is given, and the handlers go to ${targets.length} snapshotters`,
      'Leave it away, or name handlers of one snapshotter.',
    )
  }
  const where = { signal: context.signal, platform: options.platform }
  const sandbox = handlers === 'all' ? await findSandboxImage(backend, running.config, where) : undefined
  const entries = await withImage(context, name, { onNode: true }, async (image) => {
    const planned = await planAll(targets, { image, sandbox }, options)
    if (image.fromSource && !options.dryRun) await importAll(image, planned, options)
    return planned
  })
  for (const entry of entries) await carryOut(context, entry, options)
  await context.show(handlersReport(entries), () => handlersReportText(entries))
  const worst = worstOf(entries)
  if (worst !== undefined) throw worst
}

async function importAll(image: UserImage, entries: readonly HandlerEntry[], options: HandlerFlags): Promise<void> {
  const manifests = new Set<string>()
  for (const { target, role, planned, error } of entries) {
    // Most snapshotters take the same manifest: it is imported once.
    if (role !== 'image' || planned === undefined || error !== undefined) continue
    if (manifests.has(planned.plan.manifest.digest)) continue
    manifests.add(planned.plan.manifest.digest)
    await image.import({ ...options, snapshotter: target.snapshotter, features: target.osFeatures })
  }
}

async function planAll(
  targets: readonly RuntimeHandlerTarget[],
  { image, sandbox }: { image: UserImage; sandbox: SandboxImage | undefined },
  options: HandlerFlags,
): Promise<HandlerEntry[]> {
  const { fromSource } = image
  const entries: HandlerEntry[] = []
  for (const target of targets) {
    const { snapshotter, error, osFeatures } = target
    const found = await image.find({ ...options, snapshotter, features: osFeatures })
    const reference = options.reference ?? found.reference
    const pause = sandbox?.image?.reference === reference ? undefined : sandbox?.image
    const missing = sandbox !== undefined && sandbox.image === undefined ? [sandboxMissing(sandbox, target)] : []
    const plan = async (of: NamedImage, shape: Omit<PlanFlags, 'snapshotter'>): Promise<Planned | undefined> =>
      error === undefined ? await planImage(of, { ...shape, snapshotter }) : undefined
    entries.push({
      target,
      error,
      role: 'image',
      reference,
      fromSource,
      planned: await plan(found, options),
      warnings: [...target.warnings, ...missing],
    })
    if (pause === undefined) continue
    entries.push({
      target,
      error,
      role: 'sandbox',
      reference: pause.reference,
      fromSource: false,
      // --reference names the image, not the pause image.
      planned: await plan(pause, { ...options, reference: undefined }),
      warnings: [],
    })
  }
  return entries
}

async function carryOut(context: Context, entry: HandlerEntry, options: HandlerFlags): Promise<void> {
  const { planned, fromSource } = entry
  if (planned === undefined) return
  try {
    if (options.dryRun) {
      entry.dryRun = await runDryRun(context, planned, { ...options, fromSource })
      entry.error = refusalOf(entry.dryRun) ?? entry.error
    } else {
      entry.result = await runUnpack(context, planned, options)
    }
  } catch (error) {
    // These end the whole run: the user stopped it, or containerd is gone for the next snapshotter too.
    if (!(error instanceof LayercastError) || hasCode(error, 'ABORTED', 'CONTAINERD_UNREACHABLE')) throw error
    entry.error = error
  }
}

function sandboxMissing({ name, why }: SandboxImage, { snapshotter, handlers }: RuntimeHandlerTarget): PlanWarning {
  const image = name === undefined ? "containerd's built-in pause image" : `the pause image ${name}`
  return {
    code: 'SANDBOX_IMAGE_MISSING',
    detail: `${image} was not made ready under ${snapshotter}, and pods of ${handlers.join(', ')} need it: ${why}. Pull or import it, and run this again.`,
  }
}
