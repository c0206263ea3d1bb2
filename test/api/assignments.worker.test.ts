import { createExecutionContext, evictAllDurableObjects, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { createApp } from '../../functions/api/app.ts'
import { CONFIG, MANIFEST, testImage } from '../support/test-image.ts'
import { OPERATOR, problemOf, startApi } from './support.ts'
import type { Api } from './support.ts'

const reference = 'docker.io/library/test:1'
let api: Api

beforeEach(async () => {
  api = await startApi()
})

async function planned(seed: number, snapshotter = 'overlayfs'): Promise<string> {
  const { manifest, config } = testImage(seed)
  return (await api.operator.plan({ reference, snapshotter, manifest, config })).digest
}

async function keep(seed: number) {
  const image = testImage(seed)
  await api.operator.storeImage({ bytes: image.manifest, mediaType: MANIFEST })
  await api.operator.storeImage({ bytes: image.config, mediaType: CONFIG })
  return image
}

describe('an assignment', () => {
  test('reaches every matching node, those of now and those that enrol later, and no other', async () => {
    const now = await api.enrol('now', { zone: 'a', pool: 'kata' })
    const other = await api.enrol('other', { zone: 'b', pool: 'kata' })
    const half = await api.enrol('half', { zone: 'a' })
    const digest = await planned(1)
    const assignment = await api.operator.assign({ selector: 'zone=a,pool=kata', plans: [digest] })
    expect(assignment).toMatchObject({ selector: 'pool=kata,zone=a', nodes: 1 })
    const later = await api.enrol('later', { pool: 'kata', zone: 'a', more: 'x' })
    const due = [{ digest, reference, snapshotter: 'overlayfs' }]
    expect((await now.client.ownAssignment())?.plans).toEqual(due)
    expect((await later.client.ownAssignment())?.plans).toEqual(due)
    for (const node of [other, half]) expect((await node.client.ownAssignment())?.plans).toEqual([])
    expect((await api.operator.assignments()).items).toEqual([{ ...assignment, nodes: 2 }])
  })

  test('of * reaches every node', async () => {
    const bare = await api.enrol('bare')
    const digest = await planned(2)
    expect(await api.operator.assign({ selector: '*', plans: [digest] })).toMatchObject({ selector: '*', nodes: 1 })
    expect((await bare.client.ownAssignment())?.plans).toHaveLength(1)
  })

  test('made of a kept image has one plan for each snapshotter, the same as POST /v1/plans makes', async () => {
    const node = await api.enrol('one', { a: 'b' })
    const image = await keep(3)
    const request = { reference, manifest: image.manifestDigest, snapshotter: ['nydus', 'overlayfs'] }
    const assignment = await api.operator.assign({ selector: 'a=b', image: request })
    const digests = (await api.operator.plans(request)).map(({ digest }) => digest)
    expect(assignment.plans.map(({ digest }) => digest)).toEqual(digests)
    expect((await node.client.ownAssignment())?.plans.map(({ snapshotter }) => snapshotter)).toEqual([
      'nydus',
      'overlayfs',
    ])
    expect((await node.client.getPlan(digests[0] as string)).plan.snapshotter).toBe('nydus')
  })

  test('that brings a plan which another brought already gives it once', async () => {
    const node = await api.enrol('one', { a: 'b' })
    const digest = await planned(4)
    const first = await api.operator.assign({ selector: 'a=b', plans: [digest, digest] })
    await api.operator.assign({ selector: '*', plans: [digest] })
    expect((await node.client.ownAssignment())?.plans).toHaveLength(1)
    await api.operator.unassign(first.id)
    expect((await node.client.ownAssignment())?.plans).toHaveLength(1)
  })

  test('taken back leaves its nodes, and moves them to a newer generation', async () => {
    const node = await api.enrol('one', { a: 'b' })
    const { id } = await api.operator.assign({ selector: 'a=b', plans: [await planned(5)] })
    const before = await node.client.ownAssignment()
    await api.operator.unassign(id)
    const after = await node.client.ownAssignment(before?.etag)
    expect(after?.plans).toEqual([])
    expect(after?.generation).toBeGreaterThan(before?.generation ?? Infinity)
    await expect(api.operator.unassign(id)).rejects.toMatchObject({ code: 'ASSIGNMENT_NOT_FOUND' })
  })

  test('a node that enrols again with other labels gets what goes with these, and its generation moves on', async () => {
    const enrolmentKey = 'k'.repeat(32)
    const first = await api.enrol('one', { zone: 'a' }, { enrolmentKey })
    const [a, b] = [await planned(6), await planned(7)]
    await api.operator.assign({ selector: 'zone=a', plans: [a] })
    await api.operator.assign({ selector: 'zone=b', plans: [b] })
    const before = await first.client.ownAssignment()
    const again = await api.enrol('one', { zone: 'b' }, { enrolmentKey })
    const after = await again.client.ownAssignment(before?.etag)
    expect(after?.plans.map(({ digest }) => digest)).toEqual([b])
    expect(after?.generation).toBeGreaterThan(before?.generation ?? Infinity)
  })

  test.each([
    ['a plan that is not kept', { selector: '*', plans: [`sha256:${'0'.repeat(64)}`] }, 'PLAN_NOT_FOUND'],
    [
      'an image that is not kept',
      { selector: '*', image: { reference, snapshotter: 'x', manifest: `sha256:${'0'.repeat(64)}` } },
      'IMAGE_NOT_FOUND',
    ],
    ['a selector that is none', { selector: 'zone', plans: [`sha256:${'0'.repeat(64)}`] }, 'SELECTOR_INVALID'],
    ['an empty selector', { selector: '', plans: [`sha256:${'0'.repeat(64)}`] }, 'SELECTOR_INVALID'],
    ['no plan', { selector: '*', plans: [] }, 'REQUEST_INVALID'],
    ['neither plans nor an image', { selector: '*' }, 'REQUEST_INVALID'],
    ['a digest that is none', { selector: '*', plans: ['x'] }, 'DIGEST_INVALID'],
  ])('of %s is refused and reaches no one', async (_, json, code) => {
    const node = await api.enrol('one')
    const before = await node.client.ownAssignment()
    const response = await api.call('/v1/assignments', { method: 'POST', token: OPERATOR, json })
    expect(await problemOf(response)).toMatchObject({ code, fix: expect.stringMatching(/^[A-Z].*\.$/u) as string })
    expect(await node.client.ownAssignment()).toEqual(before)
    expect((await api.operator.assignments()).items).toEqual([])
  })
})

describe('asking for the own assignment', () => {
  test('is answered 304 while nothing changed, and with the new one as soon as something did', async () => {
    const node = await api.enrol('one', { a: 'b' })
    const first = await node.client.ownAssignment()
    expect(await node.client.ownAssignment(first?.etag)).toBeUndefined()
    await api.operator.assign({ selector: 'zone=elsewhere', plans: [await planned(8)] })
    expect(await node.client.ownAssignment(first?.etag)).toBeUndefined()
    await api.operator.assign({ selector: 'a=b', plans: [await planned(9)] })
    const second = await node.client.ownAssignment(first?.etag)
    expect(second?.plans).toHaveLength(1)
    expect(await node.client.ownAssignment(second?.etag)).toBeUndefined()
  })

  test('with 304 reads the database once in all', async () => {
    const node = await api.enrol('one')
    const held = await node.client.ownAssignment()
    let reads = 0
    const db = new Proxy(api.db, {
      get: (target, name) => {
        if (name === 'prepare' || name === 'batch') reads++
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const headers = { 'if-none-match': held?.etag ?? '', authorization: `Bearer ${node.token}` }
    const request = new Request('http://api.test/v1/node/assignment', { headers })
    const response = await createApp().fetch(
      request,
      { DB: db, FLEET_OBJECTS: env.FLEET_OBJECTS },
      createExecutionContext(),
    )
    expect([response.status, reads]).toEqual([304, 1])
  })

  test('is answered anew after the database was set back and came to the same generation with other plans', async () => {
    const node = await api.enrol('one')
    const [lost, kept] = [await planned(17), await planned(18)]
    const assigned = await api.operator.assign({ selector: '*', plans: [lost] })
    const held = await node.client.ownAssignment()
    // As a backup from before that assignment would have it, and another operator's decision after.
    await api.operator.unassign(assigned.id)
    await api.operator.assign({ selector: '*', plans: [kept] })
    await api.db.prepare('UPDATE nodes SET generation = ?').bind(assigned.generation).run()
    const now = await node.client.ownAssignment(held?.etag)
    expect([now?.generation, now?.plans.map(({ digest }) => digest)]).toEqual([held?.generation, [kept]])
    expect(now?.etag).toMatch(/^"[\w]+"$/)
    expect(await node.client.ownAssignment(now?.etag)).toBeUndefined()
    expect(await node.client.ownAssignment(`W/"x", ${now?.etag}`)).toBeUndefined()
  })

  test("one node's tag does not do for another of the same generation", async () => {
    const [one, two] = [await api.enrol('one'), await api.enrol('two')]
    await api.operator.assign({ selector: '*', plans: [await planned(10)] })
    const tag = (await one.client.ownAssignment())?.etag
    expect(await two.client.ownAssignment(tag)).toBeDefined()
  })
})

describe('a node sees its own assignment only', () => {
  test("not another's plans, nor its images, nor what it could plan from them", async () => {
    const [mine, theirs] = [await api.enrol('mine', { who: 'mine' }), await api.enrol('theirs', { who: 'theirs' })]
    const [image, secret] = [await keep(11), await keep(12)]
    const request = { reference, snapshotter: 'overlayfs' }
    const own = await api.operator.assign({
      selector: 'who=mine',
      image: { ...request, manifest: image.manifestDigest },
    })
    const foreign = await api.operator.assign({
      selector: 'who=theirs',
      image: { ...request, manifest: secret.manifestDigest },
    })
    const [ownPlan, foreignPlan] = [own, foreign].map(({ plans }) => plans[0]?.digest as string)
    expect((await mine.client.getPlan(ownPlan as string)).digest).toBe(ownPlan)
    expect((await theirs.client.getPlan(foreignPlan as string)).digest).toBe(foreignPlan)
    await mine.client.getImage(image.manifestDigest)
    await mine.client.getImage(image.configDigest)
    await mine.client.plan({ ...request, snapshotter: 'native', manifest: image.manifestDigest })

    await expect(mine.client.getPlan(foreignPlan as string)).rejects.toMatchObject({ code: 'PLAN_NOT_FOUND' })
    for (const digest of [secret.manifestDigest, secret.configDigest]) {
      await expect(mine.client.getImage(digest)).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' })
    }
    await expect(mine.client.plan({ ...request, manifest: secret.manifestDigest })).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    })
    expect((await mine.client.ownAssignment())?.plans.map(({ digest }) => digest)).toEqual([ownPlan])
  })

  test('nor its own plan any more, once that was taken back, even if it knows the ETag', async () => {
    const node = await api.enrol('one', { a: 'b' })
    const digest = await planned(13)
    const { id } = await api.operator.assign({ selector: 'a=b', plans: [digest] })
    await node.client.getPlan(digest)
    await api.operator.unassign(id)
    const headers = { 'if-none-match': `"${digest}"` }
    const response = await api.call(`/v1/plans/${digest}`, { token: node.token, headers })
    expect((await problemOf(response)).code).toBe('PLAN_NOT_FOUND')
  })
})

describe('generations', () => {
  test('only grow for every node, through any order of changes, and the own assignment is always what matches', async () => {
    const zones = ['a', 'b', 'c'] as const
    const step = fc.oneof(
      fc.record({ do: fc.constant('assign' as const), zone: fc.constantFrom(...zones, '*'), plan: fc.nat(3) }),
      fc.record({ do: fc.constant('unassign' as const), which: fc.nat(20) }),
      fc.record({ do: fc.constant('enrol' as const), zone: fc.constantFrom(...zones) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        api = await startApi()
        const plans = await Promise.all([20, 21, 22, 23].map((seed) => planned(seed)))
        const live: Array<{ id: string; zone: string; plan: string }> = []
        const nodes: Array<{ zone: string; client: ReturnType<Api['client']>; generation: number; etag: string }> = []
        for (const [at, one] of steps.entries()) {
          if (one.do === 'enrol') {
            const { client } = await api.enrol(`node-${at}`, { zone: one.zone })
            nodes.push({ zone: one.zone, client, generation: 0, etag: '' })
          } else if (one.do === 'assign') {
            const plan = plans[one.plan] as string
            const { id } = await api.operator.assign({
              selector: one.zone === '*' ? '*' : `zone=${one.zone}`,
              plans: [plan],
            })
            live.push({ id, zone: one.zone, plan })
          } else if (live.length > 0) {
            const [gone] = live.splice(one.which % live.length, 1)
            await api.operator.unassign(gone?.id as string)
          }
          for (const node of nodes) {
            const own = await node.client.ownAssignment(node.etag)
            const due = live.filter(({ zone }) => zone === '*' || zone === node.zone).map(({ plan }) => plan)
            if (own === undefined) continue
            expect(own.generation).toBeGreaterThan(node.generation)
            expect(own.plans.map(({ digest }) => digest).sort()).toEqual([...new Set(due)].sort())
            Object.assign(node, { generation: own.generation, etag: own.etag })
          }
        }
        for (const node of nodes) {
          const due = live.filter(({ zone }) => zone === '*' || zone === node.zone).map(({ plan }) => plan)
          expect((await node.client.ownAssignment())?.plans.map(({ digest }) => digest).sort()).toEqual(
            [...new Set(due)].sort(),
          )
        }
      }),
      { numRuns: 15 },
    )
  }, 60_000)

  test('no two changes made at once get the same one', async () => {
    const digest = await planned(14)
    const made = await Promise.all(
      Array.from({ length: 12 }, () => api.operator.assign({ selector: '*', plans: [digest] })),
    )
    expect(new Set(made.map(({ generation }) => generation)).size).toBe(12)
  })

  test('go on where they were after the object was evicted, and above what D1 has after it forgot', async () => {
    const digest = await planned(15)
    const first = await api.operator.assign({ selector: '*', plans: [digest] })
    await evictAllDurableObjects()
    const second = await api.operator.assign({ selector: '*', plans: [digest] })
    expect(second.generation).toBe(first.generation + 1)
    const stub = env.FLEET_OBJECTS.get(env.FLEET_OBJECTS.idFromName('default'))
    await runInDurableObject(stub, (_, state) => state.storage.deleteAll())
    const third = await api.operator.assign({ selector: '*', plans: [digest] })
    expect(third.generation).toBe(second.generation + 1)
  })

  test('go on above what D1 has, where the object was set back further than D1', async () => {
    const digest = await planned(19)
    const first = await api.operator.assign({ selector: '*', plans: [digest] })
    const stub = env.FLEET_OBJECTS.get(env.FLEET_OBJECTS.idFromName('default'))
    await runInDurableObject(stub, (_, state) => state.storage.put('generation', 0))
    const second = await api.operator.assign({ selector: '*', plans: [digest] })
    expect(second.generation).toBeGreaterThan(first.generation)
  })

  test('a change that D1 refuses changes nothing, and the next one goes through', async () => {
    const node = await api.enrol('one')
    const digest = await planned(16)
    await api.db.prepare('ALTER TABLE assigned RENAME TO hidden').run()
    await expect(api.operator.assign({ selector: '*', plans: [digest] })).rejects.toMatchObject({ code: 'INTERNAL' })
    await api.db.prepare('ALTER TABLE hidden RENAME TO assigned').run()
    expect((await api.operator.assignments()).items).toEqual([])
    await api.operator.assign({ selector: '*', plans: [digest] })
    expect((await node.client.ownAssignment())?.plans).toHaveLength(1)
  })
})
