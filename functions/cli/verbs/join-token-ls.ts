/** `layercast join-token ls` */

import { table } from '../program/table.ts'
import { verb } from '../program/verb.ts'
import { operatorClient } from './shared/api-client.ts'
import { SERVER, TOKEN } from './shared/options.ts'

export const joinTokenLsVerb = verb({
  path: ['join-token', 'ls'],
  group: 'Run a fleet',
  summary: 'list join tokens',
  arguments: [],
  options: { server: SERVER, token: TOKEN },
  examples: [{ command: 'join-token ls', summary: 'which there are, how often used, and until when' }],
  async run(context, { options }) {
    const { everyItem } = await import('../../contract/client.ts')
    const client = await operatorClient(context, options)
    const tokens = await Array.fromAsync(everyItem(client.joinTokens))
    await context.show(tokens, () =>
      table(tokens, [
        { title: 'ID', value: ({ id }) => id },
        { title: 'STATE', value: ({ state }) => state },
        { title: 'USES', value: ({ uses, maxUses }) => `${uses} of ${maxUses ?? 'any'}` },
        { title: 'EXPIRES', value: ({ expiresAt }) => expiresAt },
        { title: 'NOTE', value: ({ note }) => note ?? '' },
      ]),
    )
  },
})
