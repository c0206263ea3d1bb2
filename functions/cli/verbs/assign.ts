import { operatorClient } from '../program/server.ts'
import { fields, table } from '../program/table.ts'
import { count, shortDigest } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import { IMAGE, LABELS, PLATFORM, PROFILE, REFERENCE, SERVER, SNAPSHOTTER, TOKEN } from './options.ts'
import { inputOf, lookUp, planRequest } from './planning.ts'

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
    // Before anything is asked of anyone: what was mistyped is told first.
    parseSelector(options.selector)
    const client = await operatorClient(context, options)
    const input = inputOf(await lookUp(context, args.IMAGE, options), options)
    const planned = await client.plan(planRequest(input))
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

export const assignmentLsVerb = verb({
  path: ['assignment', 'ls'],
  group: 'Run a fleet',
  summary: 'list what was assigned to whom',
  arguments: [],
  options: { server: SERVER, token: TOKEN },
  examples: [{ command: 'assignment ls', summary: 'oldest first' }],
  async run(context, { options }) {
    const { everyItem } = await import('../../contract/client.ts')
    const client = await operatorClient(context, options)
    const assignments = await Array.fromAsync(everyItem(client.assignments))
    const rows = assignments.flatMap(({ plans, ...assignment }) => plans.map((plan) => ({ ...assignment, plan })))
    await context.show(assignments, () =>
      table(rows, [
        { title: 'ID', value: ({ id }) => id },
        { title: 'SELECTOR', value: ({ selector }) => selector },
        { title: 'NODES', value: ({ nodes }) => String(nodes), align: 'right' },
        { title: 'IMAGE', value: ({ plan }) => plan.reference },
        { title: 'SNAPSHOTTER', value: ({ plan }) => plan.snapshotter },
        { title: 'PLAN', value: ({ plan }) => shortDigest(plan.digest) },
      ]),
    )
  },
})

export const assignmentRmVerb = verb({
  path: ['assignment', 'rm'],
  group: 'Run a fleet',
  summary: 'take an assignment back; nodes keep what they have unpacked',
  arguments: [{ name: 'ID', summary: "the assignment's ID, as 'assignment ls' shows it" }],
  options: { server: SERVER, token: TOKEN },
  examples: [{ command: 'assignment rm 01k8…', summary: 'nodes that enrol later do not get it' }],
  async run(context, { args, options }) {
    const client = await operatorClient(context, options)
    await client.unassign(args.ID)
    await context.show({ removed: args.ID }, () => fields([['removed', args.ID]]))
  },
})
