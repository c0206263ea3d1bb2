/** `layercast assignment ls` */

import { table } from '../program/table.ts'
import { shortDigest } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import { operatorClient } from './shared/api-client.ts'
import { SERVER, TOKEN } from './shared/options.ts'

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
