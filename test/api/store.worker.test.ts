import { env } from 'cloudflare:workers'
import type { Context } from 'hono'
import { beforeEach, describe, expect, test } from 'vitest'
import type { AppEnv } from '../../functions/api/http/app-env.ts'
import { createStore } from '../../functions/api/store/store.ts'
import type { Store } from '../../functions/api/store/store.ts'
import { digestBytes } from '../../functions/image/digest.ts'
import { plan } from '../../functions/plan/plan.ts'
import { MANIFEST, encode, testImage } from '../support/test-image.ts'
import { FACTS, startApi } from './support.ts'
import type { Api } from './support.ts'

/** What one fleet's store can do to the rows of another: nothing. */

const TABLES = [
  'texts',
  'images',
  'plans',
  'tokens',
  'nodes',
  'node_labels',
  'assignments',
  'assignment_plans',
  'assigned',
  'reports',
]

const image = testImage(1)
const planned = plan({
  reference: 'docker.io/library/test:1',
  snapshotter: 'native',
  manifest: image.manifest,
  config: image.config,
})
const unused = { sha256: '0'.repeat(64), note: null, createdAt: 1, expiresAt: 2, maxUses: null }

let api: Api
let nodeId: string
let nodeTokenId: string
let joinTokenId: string
let assignmentId: string
/** The store of another fleet. */
let foreign: Store

beforeEach(async () => {
  api = await startApi()
  await api.operator.storeImage({ bytes: image.manifest, mediaType: MANIFEST })
  const { manifest, config } = image
  await api.operator.plan({ reference: planned.plan.reference, snapshotter: 'native', manifest, config })
  const node = await api.enrol('mine', { a: 'b' }, { enrolmentKey: 'k'.repeat(32) })
  const { id, generation } = await api.operator.assign({ selector: '*', plans: [planned.digest] })
  await node.client.report({ generation, plans: [{ digest: planned.digest, state: 'applied' }] })
  nodeId = node.id
  nodeTokenId = node.token.split('_')[2] as string
  joinTokenId = node.joinToken.id
  assignmentId = id
  foreign = createStore(env.DB, 'other')
})

/** Every row of every table, as text. */
async function rows(): Promise<string[]> {
  const all = await Promise.all(
    TABLES.map(async (table) => {
      const { results } = await env.DB.prepare(`SELECT * FROM ${table}`).all()
      return results.map((row) => `${table} ${JSON.stringify(row)}`)
    }),
  )
  return all.flat()
}

/** Every call of a store that asks only, with names of this fleet's rows, and what another fleet is answered. */
const READS: Record<string, { call: (store: Store) => Promise<unknown>; foreign: unknown }> = {
  'images.read': { call: (store) => store.images.read(image.manifestDigest), foreign: undefined },
  'plans.read': { call: (store) => store.plans.read(planned.digest), foreign: undefined },
  'plans.missing': { call: (store) => store.plans.missing([planned.digest]), foreign: [planned.digest] },
  'nodes.list': { call: (store) => store.nodes.list('', 10), foreign: [] },
  'nodes.find': { call: (store) => store.nodes.find(nodeId), foreign: undefined },
  'nodes.known': { call: (store) => store.nodes.known(nodeId), foreign: '' },
  'enrolment.findByName': { call: (store) => store.enrolment.findByName('mine'), foreign: undefined },
  'assignments.list': { call: (store) => store.assignments.list('', 10), foreign: [] },
  'assignments.find': { call: (store) => store.assignments.find(assignmentId), foreign: undefined },
  'assignments.latestGeneration': { call: (store) => store.assignments.latestGeneration(), foreign: 0 },
  'nodePlans.ofNode': { call: (store) => store.nodePlans.ofNode(nodeId), foreign: { generation: 0, plans: [] } },
  'nodePlans.isAssigned': { call: (store) => store.nodePlans.isAssigned(nodeId, planned.digest), foreign: false },
  'nodePlans.isOfAssignedImage': {
    call: (store) => store.nodePlans.isOfAssignedImage(nodeId, image.manifestDigest),
    foreign: false,
  },
  'reports.generations': { call: (store) => store.reports.generations(nodeId), foreign: new Map() },
  'tokens.find': { call: (store) => store.tokens.find(nodeTokenId), foreign: undefined },
  'tokens.findJoinToken': { call: (store) => store.tokens.findJoinToken(joinTokenId), foreign: undefined },
  'tokens.listJoinTokens': { call: (store) => store.tokens.listJoinTokens('', 10), foreign: [] },
}

const enrolled = () => ({
  id: nodeId,
  name: 'theirs',
  labels: { c: 'd' },
  facts: '{}',
  enrolmentSha256: null,
  joinTokenId,
  token: { id: 'theirs', sha256: '0'.repeat(64) },
  generation: 99,
})

/** Every call that writes. Another fleet's may write rows of its own, or fail. */
const WRITES: Record<string, (store: Store) => Promise<unknown>> = {
  'images.keep': (store) => store.images.keep(image.manifestDigest, { mediaType: 'x', bytes: encode('y') }),
  'plans.keep': (store) => store.plans.keep([planned]),
  'nodes.writeFacts': (store) => store.nodes.writeFacts(nodeId, { ...FACTS, kernel: 'theirs' }),
  'nodes.writeSeen': (store) => store.nodes.writeSeen(nodeId, Date.now() + 1e9),
  'enrolment.add': (store) => store.enrolment.add(enrolled()),
  'enrolment.replace': (store) => store.enrolment.replace(enrolled()),
  'enrolment.remove': (store) => store.enrolment.remove(nodeId),
  'assignments.add': (store) =>
    store.assignments.add({ id: assignmentId, selector: {}, plans: [planned.digest], generation: 99 }),
  'assignments.remove': (store) => store.assignments.remove(assignmentId, 99),
  'reports.write': (store) => store.reports.write(nodeId, 99, [{ digest: planned.digest, state: 'failed' }]),
  'tokens.addJoinToken': (store) => store.tokens.addJoinToken({ ...unused, id: joinTokenId }),
  'tokens.revokeJoinToken': (store) => store.tokens.revokeJoinToken(joinTokenId),
}

describe("a store of another fleet, told the ids and digests of this fleet's rows", () => {
  test('is asked by every call that there is', () => {
    const calls = Object.entries(foreign).flatMap(([room, methods]) =>
      Object.keys(methods).map((method) => `${room}.${method}`),
    )
    expect([...Object.keys(READS), ...Object.keys(WRITES)].sort()).toEqual(calls.sort())
  })

  test('reads none of them, where the own store reads them all', async () => {
    const own = createStore(env.DB, 'default')
    for (const [name, read] of Object.entries(READS)) {
      expect([name, await read.call(foreign)]).toEqual([name, read.foreign])
      expect([name, await read.call(own)]).not.toEqual([name, read.foreign])
    }
  })

  test('writes none of them, and none for this node', async () => {
    const before = await rows()
    for (const [name, write] of Object.entries(WRITES)) {
      const [outcome] = await Promise.allSettled([write(foreign)])
      expect(outcome.status === 'rejected' ? String(outcome.reason) : 'constraint failed').toMatch(/constraint failed/u)
      const after = await rows()
      expect([name, before.filter((row) => !after.includes(row))]).toEqual([name, []])
      const added = after.filter((row) => !before.includes(row))
      expect([name, added.filter((row) => row.includes(nodeId) || !row.includes('"fleet":"other"'))]).toEqual([
        name,
        [],
      ])
    }
  })
})

test('a handler finds no binding on its context, and so no other way to the database', () => {
  // @ts-expect-error: the type of a handler's context has no bindings
  const reach = (c: Context<AppEnv>): unknown => c.env.DB
  expect(reach({ env: {} } as Context<AppEnv>)).toBeUndefined()
})

test('keeping what another fleet keeps keeps it twice, each with its own type', async () => {
  const docker = 'application/vnd.docker.distribution.manifest.v2+json'
  const digest = digestBytes(image.manifest)
  expect(await foreign.images.keep(digest, { mediaType: docker, bytes: image.manifest })).toEqual({
    isNew: true,
    mediaType: docker,
  })
  expect((await foreign.images.read(digest))?.mediaType).toBe(docker)
  expect((await api.operator.getImage(digest)).mediaType).toBe(MANIFEST)
})
