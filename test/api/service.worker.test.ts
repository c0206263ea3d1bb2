import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { PROBLEM_TYPE } from '../../functions/contract/problem.ts'
import { ROUTES } from '../../functions/contract/routes.ts'
import { PROFILES } from '../../functions/plan/profiles.ts'
import { OPERATOR, problemOf, startApi } from './support.ts'
import type { Api } from './support.ts'

let api: Api

beforeEach(async () => {
  api = await startApi({ OPEN_PLANNER: 'true' })
})

interface Operation {
  operationId: string
  parameters?: Array<{ name: string; in: string; required?: boolean }>
  responses: Record<string, { content?: Record<string, unknown> }>
  security: unknown[]
}

async function document() {
  const text = await (await api.call('/openapi.json')).text()
  return { text, ...(JSON.parse(text) as { openapi: string; paths: Record<string, Record<string, Operation>> }) }
}

describe('the OpenAPI document', () => {
  test('names every route once, by its operation, and no other', async () => {
    const { paths, openapi } = await document()
    expect(openapi).toBe('3.1.0')
    expect(await api.client().openapi()).toMatchObject({ openapi: '3.1.0' })
    const listed = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => `${operationId}: ${method} ${path}`),
    )
    const due = Object.entries(ROUTES).map(([name, { method, path }]) => `${name}: ${method} ${path}`)
    expect(listed.sort()).toEqual(due.sort())
  })

  test('refers only to what is in it, and declares each parameter of a path', async () => {
    const { text, paths } = await document()
    const whole = JSON.parse(text) as Record<string, unknown>
    const references = [...text.matchAll(/"\$ref":"#([^"]+)"/g)].map((match) => match[1] as string)
    expect(references.length).toBeGreaterThan(30)
    for (const reference of references) {
      const found = reference
        .split('/')
        .slice(1)
        .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], whole)
      expect([reference, typeof found]).toEqual([reference, 'object'])
    }
    for (const [path, methods] of Object.entries(paths)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
      for (const { parameters = [] } of Object.values(methods)) {
        const declared = parameters.filter((parameter) => parameter.in === 'path' && parameter.required === true)
        expect(declared.map(({ name }) => name)).toEqual(inPath)
      }
    }
  })

  test('says for every route how it fails and what token it takes', async () => {
    for (const operation of Object.values((await document()).paths).flatMap((methods) => Object.values(methods))) {
      for (const status of ['4XX', '5XX']) expect(operation.responses[status]?.content).toHaveProperty([PROBLEM_TYPE])
      expect(Object.keys(operation.responses).some((status) => status.startsWith('2'))).toBe(true)
      expect(operation.security).toBeDefined()
    }
  })

  test('tells a form of files where files are sent', async () => {
    const { text } = await document()
    const { components } = JSON.parse(text) as {
      components: { schemas: Record<string, { properties: Record<string, unknown> }> }
    }
    expect(components.schemas['PlanByUpload']?.properties['manifest']).toMatchObject({
      type: 'string',
      format: 'binary',
    })
  })
})

describe('the service', () => {
  test('answers that it is well, to anyone', async () => {
    const response = await api.call('/healthz')
    expect([response.status, await response.json()]).toEqual([200, { ok: true }])
    expect((await api.call('/healthz', { method: 'HEAD' })).status).toBe(200)
  })

  test('lists the profiles as the planner has them', async () => {
    expect((await api.client().snapshotters()).profiles).toEqual(JSON.parse(JSON.stringify(PROFILES)))
  })

  test.each([
    ['GET', '/'],
    ['GET', '/v1'],
    ['GET', '/v2/plans'],
    ['GET', '/v1/nodes/a/b'],
    ['GET', '/%2e%2e/healthz/..%2f'],
  ])('%s %s is a problem, not a page', async (method, path) => {
    expect(await problemOf(await api.call(path, { method, token: OPERATOR }))).toMatchObject({
      code: 'NOT_FOUND',
      status: 404,
    })
  })

  test.each([
    ['GET', '/v1/plans', 'POST'],
    ['PATCH', '/v1/nodes', 'POST, GET, HEAD'],
    ['OPTIONS', '/v1/nodes', 'POST, GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['POST', '/v1/nodes/a', 'GET, HEAD, DELETE'],
    ['DELETE', '/v1/node/assignment', 'GET, HEAD'],
    ['PROPFIND', '/v1/join-tokens/a', 'DELETE'],
  ])('%s %s is no method of that path, which takes %s', async (method, path, allow) => {
    const response = await api.call(path, { method, token: OPERATOR })
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow])
    expect(await problemOf(response)).toMatchObject({ code: 'METHOD_NOT_ALLOWED', status: 405 })
  })

  test('refuses query parameters where there are none', async () => {
    expect(await problemOf(await api.call('/healthz?x=1'))).toMatchObject({ code: 'REQUEST_INVALID', status: 400 })
  })

  test('every answer, good or bad, carries the security headers and is not kept unless it says so', async () => {
    for (const path of ['/healthz', '/none', '/v1/nodes', '/v1/plans/x']) {
      const { headers } = await api.call(path)
      const { 'content-type': _type, 'www-authenticate': _scheme, ...rest } = Object.fromEntries(headers.entries())
      expect(rest).toEqual({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store',
      })
    }
  })

  test('a problem names its path, type and title', async () => {
    const problem = await problemOf(await api.call('/v1/plans/md5:0'))
    expect(problem).toMatchObject({
      type: 'urn:layercast:problem:digest-invalid',
      title: 'Digest invalid',
      instance: '/v1/plans/md5:0',
    })
  })

  test('an error that nobody foresaw tells nothing but an id, which is in the log with the rest', async () => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const secret = 'the password is hunter2'
    const DB = {
      ...env.DB,
      prepare: () => {
        throw new TypeError(secret)
      },
    } as unknown as typeof env.DB
    api = await startApi({ DB })
    const response = await api.call('/v1/nodes', { token: OPERATOR })
    const text = await response.text()
    const { code, facts } = JSON.parse(text) as { code: string; facts: { id: string } }
    expect([response.status, code]).toEqual([500, 'INTERNAL'])
    expect(text).not.toContain('hunter2')
    const lines = logged.mock.calls.flat().join('\n')
    logged.mockRestore()
    expect(lines).toContain(facts.id)
    expect(lines).toContain(secret)
    expect(lines).not.toContain(OPERATOR.slice(-43))
  })
})
