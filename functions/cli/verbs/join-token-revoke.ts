/** `layercast join-token revoke` */

import { fields } from '../program/table.ts'
import { verb } from '../program/verb.ts'
import { operatorClient } from './shared/api-client.ts'
import { SERVER, TOKEN } from './shared/options.ts'

export const joinTokenRevokeVerb = verb({
  path: ['join-token', 'revoke'],
  group: 'Run a fleet',
  summary: 'revoke a join token; the nodes that it enrolled stay',
  arguments: [{ name: 'ID', summary: "the token's ID, as 'join-token ls' shows it" }],
  options: { server: SERVER, token: TOKEN },
  examples: [{ command: 'join-token revoke 0b2f…', summary: 'nobody joins with it any more' }],
  async run(context, { args, options }) {
    const client = await operatorClient(context, options)
    await client.revokeJoinToken(args.ID)
    await context.show({ revoked: args.ID }, () => fields([['revoked', args.ID]]))
  },
})
