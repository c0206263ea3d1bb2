import { importImage } from '../importing.ts'
import { inputOf, lookUp, planHere } from '../planning.ts'
import { dryRunPlan, unpackPlan } from '../unpacking.ts'
import { verb } from '../verb.ts'
import { APPLIER, DRY_RUN, IMAGE, LABELS, PLATFORM, PROFILE, REFERENCE, SNAPSHOTTER } from './options.ts'

export const unpackVerb = verb({
  path: ['unpack'],
  group: 'Make images ready',
  summary: 'make an image ready under a snapshotter',
  description:
    'An image that the node has is taken as it is, without a pull; one from a source is imported first. ' +
    'Layers that are there stay. It may be stopped at any time and run again, and several may run at once.',
  arguments: [IMAGE],
  options: {
    snapshotter: SNAPSHOTTER,
    platform: PLATFORM,
    profile: PROFILE,
    labels: LABELS,
    reference: REFERENCE,
    applier: APPLIER,
    dryRun: DRY_RUN,
  },
  examples: [
    { command: 'unpack nginx:1.29 --snapshotter native', summary: 'an image that is there for overlayfs' },
    { command: 'unpack nginx:1.29 -s nydus -n k8s.io --dry-run', summary: "the kubelet's, only looked at" },
    { command: 'unpack docker-archive:nginx.tar -s overlayfs --root ./node', summary: 'with no containerd' },
  ],
  async run(context, { args, options }) {
    const { isSpec } = await import('../../runner/image/index.ts')
    const fromSource = isSpec(args.IMAGE)
    // The plan comes first and alone, so that an image that cannot be planned changes nothing on the node.
    const planned = await planHere(inputOf(await lookUp(context, args.IMAGE, options), options))
    if (options.dryRun) return dryRunPlan(context, planned, { fromSource })
    if (fromSource) {
      // Before the first blob comes in: a snapshotter that is not there is a reason to bring none.
      const { dryRun } = await import('../../runner/unpack/index.ts')
      await dryRun({ backend: await context.backend(), plan: planned.plan })
      await importImage(context, args.IMAGE, options)
    }
    await unpackPlan(context, planned, options)
  },
})
