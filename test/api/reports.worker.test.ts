import { beforeEach, describe, expect, test } from 'vitest'
import { KNOWN_HEADER } from '../../functions/contract/own-node.ts'
import { digestBytes } from '../../functions/image/digest.ts'
import type { Digest } from '../../functions/image/digest.ts'
import { encode, testImage } from '../support/test-image.ts'
import { FACTS, problemOf, startApi } from './support.ts'
import type { Api } from './support.ts'

const reference = 'docker.io/library/test:1'
let api: Api
let node: Awaited<ReturnType<Api['enrol']>>
let digest: Digest
let generation: number

beforeEach(async () => {
  api = await startApi()
  node = await api.enrol('one', { a: 'b' })
  digest = await planned(1)
  generation = (await api.operator.assign({ selector: '*', plans: [digest] })).generation
})

async function planned(seed: number): Promise<Digest> {
  const { manifest, config } = testImage(seed)
  return (await api.operator.plan({ reference, snapshotter: 'overlayfs', manifest, config })).digest
}

async function shown() {
  const { plans, reportedGeneration } = await api.operator.node(node.id)
  return { plans: plans.map(({ reference: _r, snapshotter: _s, ...rest }) => rest), reportedGeneration }
}

describe('what the server knows of a node', () => {
  const ask = async (headers: Record<string, string> = {}) => {
    const answer = await api.call('/v1/node/assignment', { token: node.token, headers })
    return { status: answer.status, etag: answer.headers.get('etag') ?? '', known: answer.headers.get(KNOWN_HEADER) }
  }
  const report = async (state: string) => {
    const json = { generation, plans: [{ digest, state }] }
    const answer = await api.call('/v1/node/report', { method: 'POST', token: node.token, json })
    return answer.headers.get(KNOWN_HEADER)
  }

  test('has one name per state, on every answer to the node, and stays the same while nothing new is said', async () => {
    const first = await ask()
    expect(first.known).toMatch(/^[a-f0-9]{64}$/)
    expect(await ask({ 'if-none-match': first.etag })).toEqual({ ...first, status: 304 })
    const failed = await report('failed')
    const applied = await report('applied')
    expect(new Set([first.known, failed, applied]).size).toBe(3)
    expect(await report('applied')).toBe(applied)
    expect(await ask({ 'if-none-match': first.etag })).toEqual({ ...first, status: 304, known: applied })
    const json = { ...FACTS, kernel: '6.1' }
    const facts = await api.call(`/v1/nodes/${node.id}/facts`, { method: 'PUT', token: node.token, json })
    expect(facts.headers.get(KNOWN_HEADER)).not.toBe(applied)
    expect((await ask()).known).toBe(facts.headers.get(KNOWN_HEADER))
  })

  test('is another after the database is set back, and tells nothing of another node', async () => {
    const mine = await report('failed')
    const other = await api.enrol('two', { a: 'b' })
    expect((await ask()).known).toBe(mine)
    const rows = await api.db.prepare('SELECT * FROM reports').all<Record<string, unknown>>()
    await report('applied')
    await api.db.prepare('DELETE FROM reports').run()
    const gone = (await ask()).known
    const columns = Object.keys(rows.results[0] ?? {})
    await api.db
      .prepare(`INSERT INTO reports (${columns.join()}) VALUES (${columns.map(() => '?').join()})`)
      .bind(...columns.map((column) => rows.results[0]?.[column]))
      .run()
    expect((await ask()).known).toBe(mine)
    expect(gone).not.toBe(mine)
    await other.client.ownAssignment()
    expect((await ask()).known).toBe(mine)
  })
})

describe('a report', () => {
  test('is what operators see beside what the node should have; before it the plan is pending', async () => {
    expect(await shown()).toEqual({ plans: [{ digest, state: 'pending' }], reportedGeneration: 0 })
    const chainID = digestBytes(encode('chain'))
    const lazy = { layers: 0, of: 5 }
    const report = { generation, plans: [{ digest, state: 'applied' as const, chainID, durationMs: 1234, lazy }] }
    expect(await node.client.report(report)).toEqual({ recorded: 1, ignored: [] })
    const at = expect.stringMatching(/^\d{4}-.*Z$/) as unknown as string
    expect(await shown()).toEqual({
      plans: [{ digest, state: 'applied', chainID, durationMs: 1234, lazy, generation, reportedAt: at }],
      reportedGeneration: generation,
    })
    const [listed] = (await api.operator.nodes()).items
    expect(listed).toEqual(await api.operator.node(node.id))
  })

  test('said twice is said once: not even its time changes', async () => {
    const report = { generation, plans: [{ digest, state: 'applied' as const, durationMs: 5 }] }
    const first = await node.client.report(report)
    await api.db.prepare('UPDATE reports SET reported_at = reported_at - 5000').run()
    const before = await shown()
    expect(await node.client.report(report)).toEqual(first)
    expect(await shown()).toEqual(before)
  })

  test('of a failure keeps its code and message, and a later success takes them away', async () => {
    const error = { code: 'BLOB_NOT_FOUND', message: 'no blob sha256:…' }
    await node.client.report({ generation, plans: [{ digest, state: 'failed', error }] })
    expect((await shown()).plans[0]).toMatchObject({ state: 'failed', error })
    await node.client.report({ generation, plans: [{ digest, state: 'applied' }] })
    expect((await shown()).plans[0]).not.toHaveProperty('error')
  })

  test('that comes late, about an older generation, does not undo a newer one', async () => {
    const newer = (await api.operator.assign({ selector: 'a=b', plans: [await planned(2)] })).generation
    await node.client.report({ generation: newer, plans: [{ digest, state: 'applied' }] })
    const before = await shown()
    const late = await node.client.report({ generation, plans: [{ digest, state: 'failed' }] })
    expect(late).toEqual({ recorded: 0, ignored: [{ digest, reason: 'older' }] })
    expect(await shown()).toEqual(before)
  })

  test('of a plan that was taken back, or is of another node, is named and passed over', async () => {
    const foreign = await planned(3)
    await api.operator.assign({ selector: 'who=other', plans: [foreign] })
    const unknown = digestBytes(encode('unknown'))
    const plans = [foreign, unknown, digest].map((each) => ({ digest: each, state: 'applied' as const }))
    expect(await node.client.report({ generation, plans })).toEqual({
      recorded: 1,
      ignored: [
        { digest: foreign, reason: 'not-assigned' },
        { digest: unknown, reason: 'not-assigned' },
      ],
    })
    expect(await api.db.prepare('SELECT count(*) AS n FROM reports').first('n')).toBe(1)
  })

  test('of no plan tells that the generation was reached', async () => {
    await node.client.report({ generation, plans: [] })
    expect((await shown()).reportedGeneration).toBe(generation)
  })

  test("is the calling node's, whatever another one says", async () => {
    const other = await api.enrol('two', { a: 'b' })
    const theirs = (await other.client.ownAssignment())?.generation ?? 0
    await other.client.report({ generation: theirs, plans: [{ digest, state: 'failed' }] })
    expect((await shown()).plans[0]?.state).toBe('pending')
  })

  test.each([
    ['a generation that was never given', () => ({ generation: generation + 1, plans: [] }), 'REQUEST_INVALID'],
    ['a negative generation', () => ({ generation: -1, plans: [] }), 'REQUEST_INVALID'],
    ['a state that there is not', () => ({ generation, plans: [{ digest, state: 'done' }] }), 'REQUEST_INVALID'],
    ['a digest that is none', () => ({ generation, plans: [{ digest: 'x', state: 'applied' }] }), 'DIGEST_INVALID'],
    [
      'a field that nobody knows',
      () => ({ generation, plans: [{ digest, state: 'applied', node: 'x' }] }),
      'REQUEST_INVALID',
    ],
    [
      '257 plans',
      () => ({ generation, plans: Array.from({ length: 257 }, () => ({ digest, state: 'applied' })) }),
      'REQUEST_INVALID',
    ],
    [
      'an endless message',
      () => ({ generation, plans: [{ digest, state: 'failed', error: { code: 'X', message: 'x'.repeat(2049) } }] }),
      'REQUEST_INVALID',
    ],
  ])('of %s is refused and records nothing', async (_, report, code) => {
    const response = await api.call('/v1/node/report', { method: 'POST', token: node.token, json: report() })
    expect((await problemOf(response)).code).toBe(code)
    expect(await shown()).toEqual({ plans: [{ digest, state: 'pending' }], reportedGeneration: 0 })
  })

  test('goes with its node', async () => {
    await node.client.report({ generation, plans: [{ digest, state: 'applied' }] })
    await api.operator.removeNode(node.id)
    for (const table of ['reports', 'assigned', 'node_labels', 'nodes']) {
      expect(await api.db.prepare(`SELECT count(*) AS n FROM ${table}`).first('n')).toBe(0)
    }
    expect(await api.db.prepare(`SELECT count(*) AS n FROM tokens WHERE scope = 'node'`).first('n')).toBe(0)
  })
})
