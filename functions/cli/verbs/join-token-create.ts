/** `layercast join-token create` */

import { count } from '../program/text.ts'
import { seconds, wholeNumber } from '../program/values.ts'
import { verb } from '../program/verb.ts'
import { operatorClient } from './shared/api-client.ts'
import { SERVER, TOKEN } from './shared/options.ts'

export const joinTokenCreateVerb = verb({
  path: ['join-token', 'create'],
  group: 'Run a fleet',
  summary: 'make a token with which machines become nodes',
  description: 'The token is shown this once; the server keeps only its hash.',
  arguments: [],
  options: {
    server: SERVER,
    token: TOKEN,
    ttl: { value: 'TIME', summary: 'how long it may be used: 30m, 12h, 7d (default: 24h)' },
    maxUses: { value: 'N', summary: 'how many nodes it may enrol (default: any number)' },
    note: { value: 'TEXT', summary: 'what it is for' },
  },
  examples: [
    { command: 'join-token create --token @operator-token', summary: 'for a day' },
    { command: "join-token create --ttl 1h --max-uses 1 --note 'node 17'", summary: 'for one machine, now' },
  ],
  async run(context, { options }) {
    const client = await operatorClient(context, options)
    const made = await client.createJoinToken({
      ttlSeconds: options.ttl === undefined ? undefined : seconds('--ttl', options.ttl),
      maxUses: options.maxUses === undefined ? undefined : wholeNumber('--max-uses', options.maxUses),
      note: options.note,
    })
    // Only the token goes to stdout, so that TOKEN=$(layercast join-token create) works.
    if (!context.json) {
      const uses = made.maxUses === undefined ? 'for any number of nodes' : `for ${count(made.maxUses, 'node')}`
      context.note(`join token ${made.id}, ${uses}, until ${made.expiresAt}`)
    }
    await context.show(made, () => `${made.token}\n`)
  },
})
