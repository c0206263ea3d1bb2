import type { Node } from '../../contract/nodes.ts'
import { LayercastError } from '../../errors.ts'
import { operatorClient } from '../program/server.ts'
import { fields, table } from '../program/table.ts'
import { age, lazyText, shortDigest } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import { SERVER, TOKEN } from './options.ts'

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
        { title: 'LABELS', value: ({ node, first }) => (first ? labelsOf(node) : ' ') },
        { title: 'IMAGE', value: ({ plan }) => plan?.reference ?? '' },
        { title: 'SNAPSHOTTER', value: ({ plan }) => plan?.snapshotter ?? '' },
        { title: 'PLAN', value: ({ plan }) => shortDigest(plan?.digest ?? '') },
        { title: 'STATE', value: ({ plan }) => (plan === undefined ? '' : stateOf(plan)) },
      ]),
    )
  },
})

export const nodeRmVerb = verb({
  path: ['node', 'rm'],
  group: 'Run a fleet',
  summary: 'forget a node: its token stops working, its name is free again',
  arguments: [{ name: 'NODE', summary: "the node's name or ID" }],
  options: { server: SERVER, token: TOKEN },
  examples: [{ command: 'node rm worker-17', summary: 'a machine that is no more' }],
  async run(context, { args, options }) {
    const { everyItem } = await import('../../contract/client.ts')
    const client = await operatorClient(context, options)
    const nodes = await Array.fromAsync(everyItem(client.nodes))
    const node = nodes.find(({ id }) => id === args.NODE) ?? nodes.find(({ name }) => name === args.NODE)
    if (node === undefined) {
      throw new LayercastError('NOT_FOUND', `there is no node ${args.NODE}`, {
        fix: "See which there are with 'layercast node ls'.",
      })
    }
    await client.removeNode(node.id)
    await context.show({ removed: { id: node.id, name: node.name } }, () =>
      fields([['removed', `${node.name} (${node.id})`]]),
    )
  },
})

type NodePlan = Node['plans'][number]

/** A line for each plan of a node; one without a plan for a node that should have none. */
function linesOf(node: Node): { node: Node; first: boolean; plan: NodePlan | undefined }[] {
  if (node.plans.length === 0) return [{ node, first: true, plan: undefined }]
  return node.plans.map((plan, index) => ({ node, first: index === 0, plan }))
}

function backendOf({ facts }: Node): string {
  return facts.containerdVersion === undefined ? facts.backend : `${facts.backend} ${facts.containerdVersion}`
}

function labelsOf({ labels }: Node): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}

function stateOf(plan: NodePlan): string {
  if (plan.error === undefined)
    return plan.lazy === undefined ? plan.state : `${plan.state}; lazy: ${lazyText(plan.lazy)}`
  return `${plan.state}: ${plan.error.message} (${plan.error.code})`
}
