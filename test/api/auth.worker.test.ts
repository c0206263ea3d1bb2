import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { newToken, readToken } from '../../functions/api/auth/token.ts'
import { equalInConstantTime, sha256Hex } from '../../functions/api/hash.ts'
import type { Access } from '../../functions/contract/route.ts'
import { ROUTES } from '../../functions/contract/routes.ts'
import { OPERATOR, problemOf, startApi } from './support.ts'
import type { Api } from './support.ts'

let api: Api

beforeEach(async () => {
  api = await startApi()
})

/** Which scopes each access lets in; the matrix below is every route crossed with every caller. */
const LETS_IN: Record<Access, string[]> = {
  public: ['nobody', 'operator', 'join', 'node'],
  planner: ['operator', 'node'],
  operator: ['operator'],
  join: ['join'],
  node: ['node'],
}

async function tokens(): Promise<Record<string, string | undefined>> {
  const { token: node } = await api.enrol('matrix')
  const { token: join } = await api.operator.createJoinToken({})
  return { nobody: undefined, operator: OPERATOR, join, node }
}

function bare(route: (typeof ROUTES)[keyof typeof ROUTES], token: string | undefined): Promise<Response> {
  const path = route.path.replace('{digest}', `sha256:${'0'.repeat(64)}`).replace('{id}', 'none')
  return api.call(path, { method: route.method.toUpperCase(), token })
}

describe('who may call what', () => {
  test.each(Object.entries(ROUTES))('%s', async (_, route) => {
    const outcomes: Record<string, string> = {}
    for (const [caller, token] of Object.entries(await tokens())) {
      const response = await bare(route, token)
      const refused = [401, 403].includes(response.status)
      outcomes[caller] = refused ? `${response.status} ${(await problemOf(response)).code}` : 'in'
    }
    const due = Object.keys(outcomes).map((caller) => {
      if (LETS_IN[route['x-access']].includes(caller)) return [caller, 'in']
      return [caller, caller === 'nobody' ? '401 TOKEN_MISSING' : '403 TOKEN_SCOPE']
    })
    expect(outcomes).toEqual(Object.fromEntries(due))
  })

  test('a refusal for want of a token says which scheme it takes, and a refusal of a scope does not', async () => {
    const { token } = await api.operator.createJoinToken({})
    expect((await bare(ROUTES.listNodes, undefined)).headers.get('www-authenticate')).toMatch(/^Bearer/)
    expect((await bare(ROUTES.listNodes, token)).headers.get('www-authenticate')).toBeNull()
  })

  test('an open planner lets everyone plan, and nothing else', async () => {
    api = await startApi({ OPEN_PLANNER: 'true' })
    for (const route of Object.values(ROUTES)) {
      const { status } = await bare(route, undefined)
      const open = ['public', 'planner'].includes(route['x-access'])
      expect([route.path, [401, 403].includes(status)]).toEqual([route.path, !open])
    }
  })

  test('an open planner takes nothing that a page of another site made a browser send', async () => {
    api = await startApi({ OPEN_PLANNER: 'true' })
    const sent = (site: string) =>
      api.call('/v1/images', { method: 'POST', headers: { 'sec-fetch-site': site, 'content-type': 'text/plain' } })
    for (const site of ['cross-site', 'same-site']) {
      expect((await problemOf(await sent(site))).code).toBe('TOKEN_MISSING')
    }
    for (const site of ['none', 'same-origin']) {
      expect((await problemOf(await sent(site))).code).toBe('MEDIA_TYPE_UNSUPPORTED')
    }
  })

  test.each(['', 'TRUE', '1', 'yes', 'false'])('OPEN_PLANNER=%j opens nothing', async (value) => {
    api = await startApi({ OPEN_PLANNER: value })
    expect((await bare(ROUTES.listSnapshotters, undefined)).status).toBe(401)
  })
})

describe('bodies that are none', () => {
  test.each(['/v1/join-tokens', '/v1/assignments'])('POST %s without one is a bad request', async (path) => {
    const response = await api.call(path, { method: 'POST', token: OPERATOR })
    expect(await problemOf(response)).toMatchObject({ code: 'REQUEST_INVALID', status: 400 })
    const empty = { method: 'POST', token: OPERATOR, headers: { 'content-type': 'application/json' } }
    expect(await problemOf(await api.call(path, empty))).toMatchObject({ code: 'REQUEST_INVALID', status: 400 })
    expect((await api.operator.joinTokens()).items).toEqual([])
  })

  test('a body of no stated type is not passed over', async () => {
    const body = new TextEncoder().encode('{"maxUses":1}')
    const response = await api.call('/v1/join-tokens', { method: 'POST', token: OPERATOR, body })
    expect(await problemOf(response)).toMatchObject({ code: 'MEDIA_TYPE_UNSUPPORTED', status: 415 })
    expect((await api.operator.joinTokens()).items).toEqual([])
  })

  test.each(['"__proto__"', String.raw`"\u005f_proto__"`])('the key %s is refused wherever it stands', async (key) => {
    const { token } = await api.operator.createJoinToken({})
    const body = `{"name":"n","facts":{"os":"linux","architecture":"amd64","backend":"embedded","snapshotters":[]},"labels":{${key}:"x"}}`
    const response = await api.call('/v1/nodes', {
      method: 'POST',
      token,
      body,
      headers: { 'content-type': 'application/json' },
    })
    expect(await problemOf(response)).toMatchObject({ code: 'REQUEST_INVALID', status: 400 })
    expect((await api.operator.nodes()).items).toEqual([])
  })
})

describe('tokens that are not good', () => {
  const secret = 'B'.repeat(43)

  test.each([
    ['another scheme', 'Basic eDp5'],
    ['no token', 'Bearer'],
    ['two tokens', `Bearer ${OPERATOR} ${OPERATOR}`],
    ['a text that is none', 'Bearer hello'],
    ['an id that nobody has', `Bearer lc_operator_none_${secret}`],
    ['the secret of another', `Bearer ${OPERATOR.slice(0, -1)}B`],
    ['a scope that there is not', `Bearer lc_root_test_${secret}`],
    ['an empty secret', 'Bearer lc_operator_test_'],
  ])('%s is TOKEN_INVALID', async (_, authorization) => {
    const response = await api.call('/v1/nodes', { headers: { authorization } })
    expect(await problemOf(response)).toMatchObject({ code: 'TOKEN_INVALID', status: 401 })
  })

  test('a token that names a higher scope than it was made with does not get it', async () => {
    const { token } = await api.operator.createJoinToken({})
    const response = await api.call('/v1/nodes', { token: token.replace('lc_join_', 'lc_operator_') })
    expect((await problemOf(response)).code).toBe('TOKEN_INVALID')
  })

  test.each(['', 'zz', '0'.repeat(63)])('a deployment whose hash is %j has no operator', async (kept) => {
    api = await startApi({ OPERATOR_TOKEN_SHA256: kept })
    expect((await problemOf(await api.call('/v1/nodes', { token: OPERATOR }))).code).toBe('TOKEN_INVALID')
  })

  test('an expired join token says so, to its holder only', async () => {
    const { id, token } = await api.operator.createJoinToken({ ttlSeconds: 60 })
    await api.db
      .prepare('UPDATE tokens SET expires_at = ? WHERE id = ?')
      .bind(Date.now() - 1, id)
      .run()
    const holder = await api.call('/v1/nodes', { method: 'POST', token })
    expect((await problemOf(holder)).code).toBe('TOKEN_EXPIRED')
    const guess = await api.call('/v1/nodes', { method: 'POST', token: `lc_join_${id}_${secret}` })
    expect((await problemOf(guess)).code).toBe('TOKEN_INVALID')
  })

  test('a revoked join token says so', async () => {
    const { id, token } = await api.operator.createJoinToken({})
    await api.operator.revokeJoinToken(id)
    expect((await problemOf(await api.call('/v1/nodes', { method: 'POST', token }))).code).toBe('TOKEN_REVOKED')
  })

  test("a removed node's token is none any more", async () => {
    const node = await api.enrol('gone')
    await api.operator.removeNode(node.id)
    await expect(node.client.ownAssignment()).rejects.toMatchObject({ code: 'TOKEN_INVALID' })
  })
})

describe('what is kept of tokens', () => {
  test('no secret is in the database, nor a token text, nor an enrolment key', async () => {
    const enrolmentKey = 'k'.repeat(32)
    const node = await api.enrol('secretive', {}, { enrolmentKey })
    const { results: tables } = await api.db
      .prepare(
        `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'`,
      )
      .all<{ name: string }>()
    expect(tables.length).toBeGreaterThan(8)
    const rows = await Promise.all(tables.map(({ name }) => api.db.prepare(`SELECT * FROM ${name}`).all()))
    const everything = JSON.stringify(rows.map(({ results }) => results))
    expect(everything).toContain(await sha256Hex(node.token))
    for (const secret of [node.token, node.joinToken.token, enrolmentKey]) {
      expect(everything).not.toContain(secret)
      expect(everything).not.toContain(secret.slice(-43))
    }
  })

  test('no answer shows a hash, and no list a token', async () => {
    const node = await api.enrol('shown')
    const pages = [await api.operator.nodes(), await api.operator.joinTokens(), await api.operator.node(node.id)]
    const text = JSON.stringify(pages)
    expect(text).toContain(node.id)
    expect(text).not.toContain('lc_')
    expect(text).not.toMatch(/[a-f0-9]{64}/)
  })

  test('new tokens are read back as what they are, and no two are alike', async () => {
    const made = await Promise.all(Array.from({ length: 50 }, () => newToken('join')))
    for (const { id, text, sha256 } of made) {
      expect(readToken(text)).toEqual({ scope: 'join', id })
      expect(await sha256Hex(text)).toBe(sha256)
    }
    expect(new Set(made.map(({ text }) => text)).size).toBe(50)
  })
})

describe('comparing in constant time', () => {
  test('says what === says, for any two texts', () => {
    const alike = fc.string().map((text): [string, string] => [text, `${text}`])
    const pair = fc.oneof(fc.tuple(fc.string(), fc.string()), alike)
    const wrong = fc.sample(pair, 2000).filter(([a, b]) => equalInConstantTime(a, b) !== (a === b))
    expect(wrong).toEqual([])
  })

  test('notices a difference at any one place of a hash', async () => {
    const hash = await sha256Hex('x')
    for (let at = 0; at < hash.length; at++) {
      const other = hash.slice(0, at) + (hash[at] === '0' ? '1' : '0') + hash.slice(at + 1)
      expect(equalInConstantTime(hash, other)).toBe(false)
    }
    expect(equalInConstantTime(hash, `${hash}0`)).toBe(false)
    expect(equalInConstantTime(hash, hash.slice(0, -1))).toBe(false)
  })

  test('looks at every character, wherever the first difference is', () => {
    const looked = (a: string, b: string) => {
      let count = 0
      const watched = { length: a.length, charCodeAt: (at: number) => (count++, a.charCodeAt(at)) }
      equalInConstantTime(watched as unknown as string, b)
      return count
    }
    const hash = 'a'.repeat(64)
    expect(looked(hash, hash)).toBe(64)
    expect(looked(hash, `b${'a'.repeat(63)}`)).toBe(64)
    expect(looked(hash, `${'a'.repeat(63)}b`)).toBe(64)
  })
})
