/** `layercast repair` */

import { LayercastError } from '../../errors.ts'
import { verb } from '../program/verb.ts'
import { lookUp } from './shared/image.ts'
import {
  APPLIER,
  CONTAINERD_CONFIG,
  DRY_RUN,
  FROM_SNAPSHOTTER,
  IMAGE,
  LABELS,
  ONE_RUNTIME_HANDLER,
  PLATFORM,
  PROFILE,
  REFERENCE,
  SNAPSHOTTER_OR_HANDLER,
  SOURCE,
} from './shared/options.ts'
import { planImage } from './shared/plan-input.ts'
import { repairPlan } from './shared/repair-operation.ts'
import { oneSnapshotter } from './shared/runtime-handlers.ts'

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
    snapshotter: { ...SNAPSHOTTER_OR_HANDLER, summary: 'the snapshotter that it should be ready under' },
    runtimeHandler: ONE_RUNTIME_HANDLER,
    containerdConfig: CONTAINERD_CONFIG,
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
    const snapshotter = await oneSnapshotter(context, options)
    const image = await lookUp(context, args.IMAGE, { ...options, snapshotter, onNode: true })
    const planned = await planImage(image, { ...options, snapshotter })
    await repairPlan(context, planned, options)
  },
})
