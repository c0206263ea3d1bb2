import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { everyItem } from '../../functions/contract/client.ts'
import { testImage } from '../support/test-image.ts'
import { OPERATOR, problemOf, startApi } from './support.ts'
import type { Api } from './support.ts'

let api: Api

beforeEach(async () => {
  api = await startApi()
})

/** Rows put in straight, because a hundred enrolments would take a while; ids in any order. */
async function putNodes(names: readonly string[], fleet = 'default'): Promise<void> {
  const insert = api.db.prepare(
    `INSERT INTO nodes (id, fleet, name, labels, facts, created_at, seen_at, generation) VALUES (?, ?, ?, '{}', ?, 0, 0, 0)`,
  )
  const facts = JSON.stringify({ os: 'linux', architecture: 'amd64', backend: 'embedded', snapshotters: [] })
  if (names.length > 0)
    await api.db.batch(names.map((name) => insert.bind(crypto.randomUUID().replaceAll('-', ''), fleet, name, facts)))
}

async function namesByPages(limit: number): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of everyItem((page) => api.operator.nodes({ ...page, limit }))) names.push(name)
  return names
}

const nodeName = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,6}[A-Za-z0-9]$/)

describe('pages', () => {
  test('give every item once and in order, whatever the page size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(nodeName, { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        async (names, limit) => {
          await api.db.prepare('DELETE FROM nodes').run()
          await putNodes(names)
          expect(await namesByPages(limit)).toEqual([...names].sort())
        },
      ),
      { numRuns: 25 },
    )
  }, 30_000)

  test('lose and repeat nothing that is there throughout, while other items come and go between them', async () => {
    const change = fc.record({ add: nodeName, drop: fc.nat(30) })
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(nodeName, { minLength: 4, maxLength: 10 }),
        fc.array(change, { maxLength: 6 }),
        async (names, changes) => {
          await api.db.prepare('DELETE FROM nodes').run()
          await putNodes(names)
          const gone = new Set<string>()
          const added = new Set<string>()
          const seen: string[] = []
          let next = 0
          const list = async (page: { cursor?: string | undefined }) => {
            const got = await api.operator.nodes({ ...page, limit: 2 })
            const now = changes[next++]
            if (now !== undefined) {
              const drop = names[now.drop % names.length] as string
              await api.db.prepare('DELETE FROM nodes WHERE name = ?').bind(drop).run()
              gone.add(drop)
              if (!names.includes(now.add) && !added.has(now.add)) {
                await putNodes([now.add])
                added.add(now.add)
              }
            }
            return got
          }
          for await (const { name } of everyItem(list)) seen.push(name)
          expect(new Set(seen).size).toBe(seen.length)
          expect([...seen].sort()).toEqual(seen)
          expect(names.filter((name) => !gone.has(name) && !seen.includes(name))).toEqual([])
        },
      ),
      { numRuns: 20 },
    )
  }, 30_000)

  test('the last one has no cursor, also when it is exactly full', async () => {
    await putNodes(['a', 'b', 'c', 'd'])
    const first = await api.operator.nodes({ limit: 2 })
    const second = await api.operator.nodes({ limit: 2, cursor: first.nextCursor as string })
    expect([first.items.length, second.items.length, second.nextCursor]).toEqual([2, 2, undefined])
  })

  test('of every list follow each other', async () => {
    const { manifest, config } = testImage(1)
    const { digest } = await api.operator.plan({ reference: 'a', snapshotter: 'native', manifest, config })
    for (let at = 0; at < 5; at++) {
      await api.operator.createJoinToken({ note: String(at) })
      await api.operator.assign({ selector: `at=${at}`, plans: [digest] })
    }
    const notes: unknown[] = []
    for await (const token of everyItem((page) => api.operator.joinTokens({ ...page, limit: 2 })))
      notes.push(token.note)
    expect([...notes].sort()).toEqual(['0', '1', '2', '3', '4'])
    const selectors: string[] = []
    for await (const one of everyItem((page) => api.operator.assignments({ ...page, limit: 2 })))
      selectors.push(one.selector)
    expect([...selectors].sort()).toEqual(['at=0', 'at=1', 'at=2', 'at=3', 'at=4'])
  })

  test.each([
    'limit=0',
    'limit=101',
    'limit=x',
    'limit=1.5',
    'limit=1&limit=2',
    'offset=3',
    'cursor=',
    'cursor=x',
    'cursor=%00.%00',
    'cursor=bm9kZXM.',
    'cursor=bm9kZXM.YQ.YQ',
  ])('refuse ?%s', async (query) => {
    const response = await api.call(`/v1/nodes?${query}`, { token: OPERATOR })
    expect(await problemOf(response)).toMatchObject({ code: 'REQUEST_INVALID', status: 400 })
  })

  test("refuse another list's cursor", async () => {
    await putNodes(['a', 'b'])
    const { nextCursor } = await api.operator.nodes({ limit: 1 })
    await expect(api.operator.assignments({ cursor: nextCursor as string })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    })
  })

  test('refuse or take any text for a cursor, and never fail', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string(), fc.base64String(), fc.stringMatching(/^bm9kZXM\.[\w-]{0,8}$/)),
        async (cursor) => {
          const response = await api.call(`/v1/nodes?cursor=${encodeURIComponent(cursor)}`, { token: OPERATOR })
          expect([200, 400]).toContain(response.status)
        },
      ),
      { numRuns: 100 },
    )
  }, 30_000)
})

describe('another fleet in the same database', () => {
  test('is not listed, read, counted, nor are its tokens good here', async () => {
    const node = await api.enrol('mine')
    await putNodes(['theirs'], 'other')
    await api.db.prepare(`UPDATE tokens SET fleet = 'other' WHERE id = ?`).bind(node.joinToken.id).run()
    expect((await api.operator.nodes()).items.map(({ name }) => name)).toEqual(['mine'])
    expect((await api.operator.joinTokens()).items).toEqual([])
    const foreign = await api.db.prepare(`SELECT id FROM nodes WHERE fleet = 'other'`).first<string>('id')
    await expect(api.operator.node(foreign as string)).rejects.toMatchObject({ code: 'NODE_NOT_FOUND' })
    await expect(api.operator.removeNode(foreign as string)).rejects.toMatchObject({ code: 'NODE_NOT_FOUND' })
    const response = await api.call('/v1/nodes', { method: 'POST', token: node.joinToken.token })
    expect((await problemOf(response)).code).toBe('TOKEN_INVALID')
    const { manifest, config } = testImage(2)
    const { digest } = await api.operator.plan({ reference: 'a', snapshotter: 'native', manifest, config })
    expect((await api.operator.assign({ selector: '*', plans: [digest] })).nodes).toBe(1)
    await api.db.prepare(`UPDATE plans SET fleet = 'other'`).run()
    await expect(api.operator.getPlan(digest)).rejects.toMatchObject({ code: 'PLAN_NOT_FOUND' })
  })
})
