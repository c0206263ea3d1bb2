/** `layercast node ls` */

import type { Node } from '../../contract/nodes.ts'
import { table } from '../program/table.ts'
import { age, labelText, lazyText, shortDigest } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import { operatorClient } from './shared/api-client.ts'
import { SERVER, TOKEN } from './shared/options.ts'

export const nodeLsVerb = verb({
  path: ['node', 'ls'],
  group: 'Run a fleet',
  summary: 'list the nodes: what each should have, and what it has',
  arguments: [],
  options: { server: SERVER, token: TOKEN },
  examples: [
    { command: 'node ls', summary: 'who has what' },
    { command: 'node ls -o json', summary: 'with facts, labels and errors' },
  ],
  async run(context, { options }) {
    const { everyItem } = await import('../../contract/client.ts')
    const client = await operatorClient(context, options)
    const nodes = await Array.fromAsync(everyItem(client.nodes))
    await context.show(nodes, () =>
      table(nodes.flatMap(linesOf), [
        { title: 'NODE', value: ({ node, first }) => (first ? node.name : ' ') },
        { title: 'SEEN', value: ({ node, first }) => (first ? age(new Date(node.seenAt)) : ' ') },
        { title: 'BACKEND', value: ({ node, first }) => (first ? backendOf(node) : ' ') },
        { title: 'LABELS', value: ({ node, first }) => (first ? labelText(node.labels) : ' ') },
        { title: 'IMAGE', value: ({ plan }) => plan?.reference ?? '' },
        { title: 'SNAPSHOTTER', value: ({ plan }) => plan?.snapshotter ?? '' },
        { title: 'PLAN', value: ({ plan }) => shortDigest(plan?.digest ?? '') },
        { title: 'STATE', value: ({ plan }) => (plan === undefined ? '' : stateOf(plan)) },
      ]),
    )
  },
})

type NodePlan = Node['plans'][number]

/** A line for each plan of a node, or one without a plan where none is assigned. */
function linesOf(node: Node): { node: Node; first: boolean; plan: NodePlan | undefined }[] {
  if (node.plans.length === 0) return [{ node, first: true, plan: undefined }]
  return node.plans.map((plan, index) => ({ node, first: index === 0, plan }))
}

function backendOf({ facts }: Node): string {
  return facts.containerdVersion === undefined ? facts.backend : `${facts.backend} ${facts.containerdVersion}`
}

function stateOf(plan: NodePlan): string {
  if (plan.error === undefined)
    return plan.lazy === undefined ? plan.state : `${plan.state}; lazy: ${lazyText(plan.lazy)}`
  return `${plan.state}: ${plan.error.message} (${plan.error.code})`
}
