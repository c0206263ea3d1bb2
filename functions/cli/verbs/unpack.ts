import { LayercastError } from '../../errors.ts'
import type { Context } from '../program/context.ts'
import { verb } from '../program/verb.ts'
import { chooseSnapshotter, oneSnapshotter } from './handlers.ts'
import { importImage } from './importing.ts'
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
} from './options.ts'
import { inputOf, lookUp, planHere, type PlanningOptions } from './planning.ts'
import { repairPlan } from './repairing.ts'
import { unpackForHandlers } from './unpacking-handlers.ts'
import { dryRunPlan, runDryRun, unpackPlan, type UnpackingOptions } from './unpacking.ts'

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
  image: string,
  options: PlanningOptions & UnpackingOptions & { dryRun: boolean },
): Promise<void> {
  const { isSpec } = await import('../../runner/images/resolve.ts')
  const fromSource = isSpec(image)
  // The plan comes first and alone, so that an image that cannot be planned changes nothing on the node.
  const planned = await planHere(inputOf(await lookUp(context, image, { ...options, onNode: true }), options))
  if (options.dryRun) return dryRunPlan(context, planned, { ...options, fromSource })
  if (fromSource) {
    // Before the first blob comes in: a snapshotter that is not there is a reason to bring none.
    await runDryRun(context, planned, { ...options, fromSource })
    await importImage(context, image, options)
  }
  await unpackPlan(context, planned, options)
}

/** A repair also makes what is not there at all: what is added to it is that the image may come from a source. */
async function unpackRepairing(
  context: Context,
  image: string,
  options: Omit<PlanningOptions, 'snapshotter'> &
    UnpackingOptions & {
      snapshotter?: string | undefined
      runtimeHandler: readonly string[]
      allHandlers: boolean
      containerdConfig?: string | undefined
      dryRun: boolean
    },
): Promise<void> {
  if (options.allHandlers || options.runtimeHandler.length > 1) {
    throw new LayercastError('USAGE', '--repair is given for several runtime handlers', {
      fix: 'Repair one at a time: --snapshotter NAME, or --runtime-handler NAME once.',
    })
  }
  const snapshotter = await oneSnapshotter(context, { ...options, runtimeHandler: options.runtimeHandler[0] })
  const { isSpec } = await import('../../runner/images/resolve.ts')
  const planned = await planHere(
    inputOf(await lookUp(context, image, { ...options, snapshotter, onNode: true }), { ...options, snapshotter }),
  )
  if (isSpec(image) && !options.dryRun) await importImage(context, image, { ...options, snapshotter })
  await repairPlan(context, planned, { ...options, deep: false, contents: false })
}
