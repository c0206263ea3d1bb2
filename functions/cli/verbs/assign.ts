/** `layercast assign` */

import { fields } from '../program/table.ts'
import { count } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import { operatorClient } from './shared/api-client.ts'
import { lookUp } from './shared/image.ts'
import { IMAGE, LABELS, PLATFORM, PROFILE, REFERENCE, SERVER, SNAPSHOTTER, TOKEN } from './shared/options.ts'
import { plannerInput } from './shared/plan-input.ts'

export const assignVerb = verb({
  path: ['assign'],
  group: 'Run a fleet',
  summary: 'give an image, under a snapshotter, to every node that a selector matches',
  description:
    'The server plans it; nodes get the plan when they ask next, those that enrol later too. ' +
    'Only the manifest and the config are sent, from wherever IMAGE is here; layers never are.',
  arguments: [IMAGE],
  options: {
    server: SERVER,
    token: TOKEN,
    snapshotter: SNAPSHOTTER,
    selector: {
      value: 'KEY=VALUE',
      required: true,
      summary: 'labels that a node must have, with commas between; * for every node',
    },
    platform: PLATFORM,
    profile: PROFILE,
    labels: LABELS,
    reference: REFERENCE,
  },
  examples: [
    { command: 'assign nginx:1.29 --snapshotter nydus --selector pool=kata', summary: 'to the nodes with that label' },
    { command: "assign oci:./image -s overlayfs --selector '*'", summary: 'to every node' },
  ],
  async run(context, { args, options }) {
    const { parseSelector } = await import('../../contract/selector.ts')
    // First, so that a mistyped selector is told before the server or the node is asked for anything.
    parseSelector(options.selector)
    const client = await operatorClient(context, options)
    const planned = await client.plan(await plannerInput(await lookUp(context, args.IMAGE, options), options))
    const made = await client.assign({ selector: options.selector, plans: [planned.digest] })
    await context.show(made, () =>
      fields([
        ['assignment', made.id],
        ['image', planned.plan.reference],
        ['snapshotter', planned.plan.snapshotter],
        ['plan', planned.digest],
        ['selector', made.selector],
        ['nodes', `${count(made.nodes, 'node')} now`],
      ]),
    )
  },
})
