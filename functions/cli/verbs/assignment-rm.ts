/** `layercast assignment rm` */

import { fields } from '../program/table.ts'
import { verb } from '../program/verb.ts'
import { operatorClient } from './shared/api-client.ts'
import { SERVER, TOKEN } from './shared/options.ts'

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
