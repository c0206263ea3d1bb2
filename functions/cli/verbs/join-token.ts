import { operatorClient } from '../program/server.ts'
import { fields, table } from '../program/table.ts'
import { count } from '../program/text.ts'
import { seconds, wholeNumber } from '../program/values.ts'
import { verb } from '../program/verb.ts'
import { SERVER, TOKEN } from './options.ts'

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
      ...(options.ttl !== undefined && { ttlSeconds: seconds('--ttl', options.ttl) }),
      ...(options.maxUses !== undefined && { maxUses: wholeNumber('--max-uses', options.maxUses) }),
      ...(options.note !== undefined && { note: options.note }),
    })
    // The token alone, so that TOKEN=$(layercast join-token create) works; the rest is for the person.
    if (!context.json) {
      const uses = made.maxUses === undefined ? 'for any number of nodes' : `for ${count(made.maxUses, 'node')}`
      context.note(`join token ${made.id}, ${uses}, until ${made.expiresAt}`)
    }
    await context.show(made, () => `${made.token}\n`)
  },
})

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
