import { beforeEach, describe, expect, test } from 'vitest'
import { FACTS, OPERATOR, problemOf, startApi } from './support.ts'
import type { Api } from './support.ts'

let api: Api

beforeEach(async () => {
  api = await startApi()
})

async function joinClient(options: { maxUses?: number } = {}) {
  const { id, token } = await api.operator.createJoinToken(options)
  return { id, client: api.client(token) }
}

describe('join tokens', () => {
  test('show what they are for, their use and their end', async () => {
    const made = await api.operator.createJoinToken({ ttlSeconds: 3600, maxUses: 1, note: 'rack 7' })
    expect(Date.parse(made.expiresAt) - Date.parse(made.createdAt)).toBe(3_600_000)
    await api.client(made.token).enrol({ name: 'a', facts: FACTS })
    const { items } = await api.operator.joinTokens()
    const { token, ...rest } = made
    expect(token).toMatch(/^lc_join_[a-z0-9]{26}_[\w-]{43}$/)
    expect(items).toEqual([{ ...rest, uses: 1, state: 'used-up' }])
  })

  test('let in as many nodes as they may, and no more, however many ask at once', async () => {
    const { client } = await joinClient({ maxUses: 3 })
    const asked = Array.from({ length: 8 }, (_, at) => client.enrol({ name: `node-${at}`, facts: FACTS }))
    const answers = await Promise.allSettled(asked)
    const refused = answers.filter((answer) => answer.status === 'rejected')
    expect(refused.map(({ reason }) => (reason as { code: string }).code)).toEqual(Array(5).fill('TOKEN_USED_UP'))
    expect((await api.operator.nodes()).items).toHaveLength(3)
  })

  test('revoking twice is revoking once; one that is not there is JOIN_TOKEN_NOT_FOUND', async () => {
    const { id } = await joinClient()
    await api.operator.revokeJoinToken(id)
    const before = await api.operator.joinTokens()
    await api.operator.revokeJoinToken(id)
    expect(await api.operator.joinTokens()).toEqual(before)
    expect(before.items[0]?.state).toBe('revoked')
    await expect(api.operator.revokeJoinToken('none')).rejects.toMatchObject({ code: 'JOIN_TOKEN_NOT_FOUND' })
  })

  test("a node's token cannot be revoked as if it were a join token", async () => {
    const node = await api.enrol('a')
    const id = node.token.split('_')[2] as string
    await expect(api.operator.revokeJoinToken(id)).rejects.toMatchObject({ code: 'JOIN_TOKEN_NOT_FOUND' })
    await node.client.ownAssignment()
  })

  test('revoking one leaves the nodes that it let in', async () => {
    const node = await api.enrol('a')
    await api.operator.revokeJoinToken(node.joinToken.id)
    expect(await node.client.ownAssignment()).toMatchObject({ plans: [] })
  })

  test.each([
    [{ ttlSeconds: 0 }],
    [{ ttlSeconds: 1.5 }],
    [{ maxUses: 0 }],
    [{ note: 'x'.repeat(257) }],
    [{ scope: 'operator' }],
    [[]],
  ])('refuse %j', async (json) => {
    const response = await api.call('/v1/join-tokens', { method: 'POST', token: OPERATOR, json })
    expect((await problemOf(response)).code).toBe('REQUEST_INVALID')
  })
})

describe('enrolling', () => {
  test('makes a node that operators see as it said it is', async () => {
    const facts = { ...FACTS, kernel: '6.1', containerdVersion: '1.6.20', backend: 'containerd' as const }
    const { client } = await joinClient()
    const { id } = await client.enrol({ name: 'worker-1', labels: { zone: 'a', 'example.com/pool': '' }, facts })
    expect(await api.operator.node(id)).toMatchObject({
      id,
      name: 'worker-1',
      labels: { zone: 'a', 'example.com/pool': '' },
      facts,
      plans: [],
      reportedGeneration: 0,
    })
  })

  test('a name that is taken stays taken: no token, no change, no use of the join token', async () => {
    const node = await api.enrol('worker', { zone: 'a' })
    const before = await api.operator.node(node.id)
    const { id, client } = await joinClient()
    for (const enrolmentKey of [undefined, 'z'.repeat(32)]) {
      const more = enrolmentKey === undefined ? {} : { enrolmentKey }
      const asked = client.enrol({ name: 'worker', labels: { zone: 'b' }, facts: FACTS, ...more })
      await expect(asked).rejects.toMatchObject({ code: 'NODE_EXISTS' })
    }
    expect(await api.operator.node(node.id)).toEqual(before)
    expect((await api.operator.joinTokens()).items.find((token) => token.id === id)?.uses).toBe(0)
    await node.client.ownAssignment()
  })

  test('the same machine, by its enrolment key, keeps its id, gets a new token, and the old one is none', async () => {
    const enrolmentKey = 'k'.repeat(40)
    const first = await api.enrol('worker', { zone: 'a' }, { enrolmentKey })
    const again = await api.enrol('worker', { zone: 'b' }, { enrolmentKey })
    expect(again.id).toBe(first.id)
    expect(again.token).not.toBe(first.token)
    await expect(first.client.ownAssignment()).rejects.toMatchObject({ code: 'TOKEN_INVALID' })
    await again.client.ownAssignment()
    expect((await api.operator.node(first.id)).labels).toEqual({ zone: 'b' })
  })

  test('a machine whose answer was lost gets in again with a join token that is used up', async () => {
    const { client, id } = await joinClient({ maxUses: 1 })
    const request = { name: 'worker', facts: FACTS, enrolmentKey: 'k'.repeat(32) }
    const lost = await client.enrol(request)
    const again = await client.enrol(request)
    expect(again.id).toBe(lost.id)
    expect((await api.operator.joinTokens()).items.find((token) => token.id === id)?.uses).toBe(1)
    await expect(client.enrol({ ...request, name: 'other' })).rejects.toMatchObject({ code: 'TOKEN_USED_UP' })
  })

  test('one name asked for at once by many: one gets it', async () => {
    const { client } = await joinClient()
    const answers = await Promise.allSettled(
      Array.from({ length: 6 }, () => client.enrol({ name: 'one', facts: FACTS })),
    )
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('a removed name is free again, for a node that is another one', async () => {
    const first = await api.enrol('worker')
    await api.operator.removeNode(first.id)
    await expect(api.operator.node(first.id)).rejects.toMatchObject({ code: 'NODE_NOT_FOUND' })
    await expect(api.operator.removeNode(first.id)).rejects.toMatchObject({ code: 'NODE_NOT_FOUND' })
    const second = await api.enrol('worker')
    expect(second.id).not.toBe(first.id)
  })

  test.each([
    ['no name', { facts: FACTS }],
    ['a name with a slash', { name: 'a/b', facts: FACTS }],
    ['an empty name', { name: '', facts: FACTS }],
    ['a label key with a comma', { name: 'a', labels: { 'a,b': 'c' }, facts: FACTS }],
    ['a label value with an equals sign', { name: 'a', labels: { a: 'b=c' }, facts: FACTS }],
    [
      'sixty-five labels',
      { name: 'a', labels: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`k${at}`, 'v'])), facts: FACTS },
    ],
    ['no facts', { name: 'a' }],
    ['a fact that nobody knows', { name: 'a', facts: { ...FACTS, secret: 'x' } }],
    ['a backend that there is not', { name: 'a', facts: { ...FACTS, backend: 'docker' } }],
    ['a short enrolment key', { name: 'a', facts: FACTS, enrolmentKey: 'short' }],
    ['a field that nobody knows', { name: 'a', facts: FACTS, id: 'mine' }],
  ])('refuses %s', async (_, json) => {
    const { token } = await api.operator.createJoinToken({})
    const response = await api.call('/v1/nodes', { method: 'POST', token, json })
    expect((await problemOf(response)).code).toBe('REQUEST_INVALID')
    expect((await api.operator.nodes()).items).toEqual([])
  })

  test('says of a wrong label key what one is made of', async () => {
    const { token } = await api.operator.createJoinToken({})
    const json = { name: 'a', labels: { 'a b': 'c' }, facts: FACTS }
    const { detail } = await problemOf(await api.call('/v1/nodes', { method: 'POST', token, json }))
    expect(detail).toBe('json.labels.a b: a label key is made of letters, digits and ._/-')
  })
})

describe('facts', () => {
  test('a node states its own, and nobody else does', async () => {
    const [one, two] = [await api.enrol('one'), await api.enrol('two')]
    const facts = { ...FACTS, kernel: '6.12' }
    await one.client.putFacts(one.id, facts)
    expect((await api.operator.node(one.id)).facts).toEqual(facts)
    await expect(one.client.putFacts(two.id, facts)).rejects.toMatchObject({ code: 'TOKEN_SCOPE' })
    expect((await api.operator.node(two.id)).facts).toEqual(FACTS)
  })

  test('a node is seen when it calls, but not written down each time', async () => {
    const node = await api.enrol('one')
    const seen = async () => (await api.operator.node(node.id)).seenAt
    const first = await seen()
    await node.client.ownAssignment()
    expect(await seen()).toBe(first)
    await api.db.prepare('UPDATE nodes SET seen_at = seen_at - 61000').run()
    await node.client.ownAssignment()
    expect(Date.parse(await seen())).toBeGreaterThanOrEqual(Date.parse(first))
  })
})
