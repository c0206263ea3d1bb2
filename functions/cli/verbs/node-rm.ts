/** `layercast node rm` */

import { LayercastError } from '../../errors.ts'
import { fields } from '../program/table.ts'
import { verb } from '../program/verb.ts'
import { operatorClient } from './shared/api-client.ts'
import { SERVER, TOKEN } from './shared/options.ts'

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
