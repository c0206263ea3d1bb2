import { beforeEach, describe, expect, test } from 'vitest'
import { digestBytes } from '../../functions/image/digest.ts'
import { MAX_DOCUMENT_BYTES } from '../../functions/image/json.ts'
import { CONFIG, INDEX, MANIFEST, encode, testImage, testIndex } from '../support/test-image.ts'
import { OPERATOR, problemOf, startApi } from './support.ts'
import type { Api } from './support.ts'

let api: Api

beforeEach(async () => {
  api = await startApi({ OPEN_PLANNER: 'true' })
})

function store(body: BodyInit, type: string, query = ''): Promise<Response> {
  return api.call(`/v1/images${query}`, { method: 'POST', body, headers: { 'content-type': type } })
}

describe('POST /v1/images', () => {
  test.each([
    ['a manifest', MANIFEST, testImage(1).manifest],
    ['an index', INDEX, testIndex({ amd64: testImage(1) })],
    ['a config', CONFIG, testImage(1).config],
    [
      'a config with letters of four bytes',
      CONFIG,
      encode({ architecture: 'a', os: 'l', rootfs: { type: 'layers', diff_ids: [] }, author: '𝄞 ü' }),
    ],
  ])('keeps %s byte for byte; 201 the first time, 200 after', async (_, type, bytes) => {
    const first = await store(bytes, type)
    const digest = digestBytes(bytes)
    expect(first.status).toBe(201)
    expect(first.headers.get('location')).toBe(`/v1/images/${digest}`)
    expect(await first.json()).toEqual({ digest, mediaType: type, size: bytes.byteLength })
    expect((await store(bytes, type)).status).toBe(200)
    const back = await api.call(`/v1/images/${digest}`)
    expect(back.headers.get('content-type')).toBe(type)
    expect(back.headers.get('cache-control')).toContain('immutable')
    expect(new Uint8Array(await back.arrayBuffer())).toEqual(bytes)
  })

  test('says what a document is kept as, also to who sends the same bytes as something else', async () => {
    const docker = 'application/vnd.docker.container.image.v1+json'
    const { config, configDigest } = testImage(6)
    const [first, second] = [await store(config, CONFIG), await store(config, docker)]
    const kept = { digest: configDigest, mediaType: CONFIG, size: config.byteLength }
    expect([await first.json(), await second.json()]).toEqual([kept, kept])
    expect((await api.call(`/v1/images/${configDigest}`)).headers.get('content-type')).toBe(CONFIG)
  })

  test('keeps a document under the digest of the algorithm that the caller states', async () => {
    const { config } = testImage(2)
    const digest = digestBytes(config, 'sha512')
    expect(await api.client().storeImage({ bytes: config, mediaType: CONFIG, digest })).toMatchObject({ digest })
    expect((await api.client().getImage(digest)).bytes).toEqual(config)
  })

  test.each([
    [
      'other bytes than the digest states',
      testImage(3).config,
      CONFIG,
      `?digest=sha256:${'0'.repeat(64)}`,
      'DIGEST_MISMATCH',
    ],
    ['a stated digest that is none', testImage(3).config, CONFIG, '?digest=sha256:0', 'DIGEST_INVALID'],
    ['a query that nobody knows', testImage(3).config, CONFIG, '?force=1', 'REQUEST_INVALID'],
    ['a manifest sent as an index', testImage(3).manifest, INDEX, '', 'INDEX_IS_MANIFEST'],
    ['an index sent as a manifest', testIndex({}), MANIFEST, '', 'MANIFEST_IS_INDEX'],
    ['a manifest sent as a config', testImage(3).manifest, CONFIG, '', 'DOCUMENT_FIELD_INVALID'],
    ['what is no image document', encode('{}'), 'application/json', '', 'MEDIA_TYPE_UNSUPPORTED'],
    ['what is not JSON', encode('no'), MANIFEST, '', 'JSON_INVALID'],
    ['what is not UTF-8', new Uint8Array([0x7b, 0xff, 0x7d]), CONFIG, '', 'JSON_INVALID'],
    ['nothing', new Uint8Array(0), CONFIG, '', 'JSON_INVALID'],
  ])('refuses %s and keeps nothing', async (_, bytes, type, query, code) => {
    expect((await problemOf(await store(bytes, type, query))).code).toBe(code)
    expect(
      await api.db.prepare('SELECT (SELECT count(*) FROM images) + (SELECT count(*) FROM texts) AS n').first('n'),
    ).toBe(0)
  })
})

describe('body limits', () => {
  test('a stated length past the limit is refused, after the body was read to its end: else the sender never hears', async () => {
    let ended = false
    const body = new ReadableStream({
      pull: (controller) => {
        controller.close()
        ended = true
      },
    })
    const headers = { 'content-type': CONFIG, 'content-length': String(MAX_DOCUMENT_BYTES + 1) }
    const problem = await problemOf(await api.call('/v1/images', { method: 'POST', body, headers }))
    expect(problem).toMatchObject({ code: 'REQUEST_TOO_LARGE', status: 413, facts: { limit: MAX_DOCUMENT_BYTES } })
    expect(ended).toBe(true)
  })

  test('a body without end is read for a while after it passed the limit, and no further', async () => {
    const chunk = new Uint8Array(64 * 1024).fill(0x20)
    let given = 0
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        given += chunk.byteLength
        controller.enqueue(chunk)
      },
    })
    const problem = await problemOf(await store(body, CONFIG))
    expect(problem.code).toBe('REQUEST_TOO_LARGE')
    expect(given).toBeGreaterThan(2 * MAX_DOCUMENT_BYTES)
    expect(given).toBeLessThan(24 * 1024 * 1024)
  })

  test('a document of exactly the limit is kept', async () => {
    const { config } = testImage(4)
    const bytes = new Uint8Array(MAX_DOCUMENT_BYTES).fill(0x20)
    bytes.set(config)
    expect((await store(bytes, CONFIG)).status).toBe(201)
    expect((await api.client().getImage(digestBytes(bytes))).bytes).toEqual(bytes)
  })

  test('each call has its own limit, and a stranger is refused before any limit', async () => {
    const body = new Uint8Array(5000).fill(0x20)
    const headers = { 'content-type': 'application/json' }
    const call = { method: 'POST', body, headers }
    expect((await problemOf(await api.call('/v1/join-tokens', call))).code).toBe('TOKEN_MISSING')
    const problem = await problemOf(await api.call('/v1/join-tokens', { ...call, token: OPERATOR }))
    expect(problem).toMatchObject({ code: 'REQUEST_TOO_LARGE', facts: { limit: 4096 } })
  })
})

describe('GET /v1/images/{digest}', () => {
  test('304 to who holds it, 404 for what is not kept', async () => {
    const { config, configDigest } = testImage(5)
    await store(config, CONFIG)
    const held = await api.call(`/v1/images/${configDigest}`, { headers: { 'if-none-match': `"${configDigest}"` } })
    expect([held.status, await held.text()]).toEqual([304, ''])
    const none = digestBytes(encode('none'))
    for (const headers of [{}, { 'if-none-match': `"${none}"` }]) {
      expect((await problemOf(await api.call(`/v1/images/${none}`, { headers }))).code).toBe('IMAGE_NOT_FOUND')
    }
  })
})
