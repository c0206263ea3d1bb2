import { beforeEach, describe, expect, test } from 'vitest'
import { PLAN_TYPE } from '../../functions/contract/plans.ts'
import { digestBytes } from '../../functions/image/digest.ts'
import { plan } from '../../functions/plan/plan.ts'
import { CONFIG, INDEX, MANIFEST, encode, testImage, testIndex } from '../support/test-image.ts'
import type { TestImage } from '../support/test-image.ts'
import { OPERATOR, problemOf, startApi } from './support.ts'
import type { Api } from './support.ts'

const reference = 'docker.io/library/test:1'
let api: Api

beforeEach(async () => {
  api = await startApi({ OPEN_PLANNER: 'true' })
})

function form(image: Pick<TestImage, 'manifest' | 'config'>, fields: Record<string, string | string[]>): FormData {
  const data = new FormData()
  data.set('manifest', new Blob([image.manifest as BlobPart]), 'manifest.json')
  data.set('config', new Blob([image.config as BlobPart]), 'config.json')
  for (const [name, values] of Object.entries(fields)) for (const value of [values].flat()) data.append(name, value)
  return data
}

async function keep(image: TestImage): Promise<void> {
  await api.client().storeImage({ bytes: image.manifest, mediaType: MANIFEST, digest: image.manifestDigest })
  await api.client().storeImage({ bytes: image.config, mediaType: CONFIG, digest: image.configDigest })
}

const documentsOf = ({ manifest, config }: TestImage) => ({ manifest, config })

describe('POST /v1/plans', () => {
  test('one snapshotter and Accept: the body is the very bytes that the library gives, ETag their digest', async () => {
    const image = testImage(1)
    const local = plan({ reference, manifest: image.manifest, config: image.config, snapshotter: 'nydus' })
    const response = await api.call('/v1/plans', {
      method: 'POST',
      body: form(image, { reference, snapshotter: 'nydus' }),
      headers: { accept: PLAN_TYPE },
    })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe(PLAN_TYPE)
    expect(response.headers.get('etag')).toBe(`"${local.digest}"`)
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(local.bytes)
  })

  test('several snapshotters: an envelope in their order, each digest that of the canonical bytes', async () => {
    const image = testImage(2)
    const response = await api.call('/v1/plans', {
      method: 'POST',
      body: form(image, { reference, snapshotter: ['stargz', 'overlayfs', 'nydus'] }),
      headers: { accept: PLAN_TYPE },
    })
    expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    const { plans } = (await response.json()) as { plans: Array<{ snapshotter: string; digest: string }> }
    expect(plans.map(({ snapshotter, digest }) => [snapshotter, digest])).toEqual(
      ['stargz', 'overlayfs', 'nydus'].map((snapshotter) => [
        snapshotter,
        plan({ reference, manifest: image.manifest, config: image.config, snapshotter }).digest,
      ]),
    )
  })

  test('every option reaches the plan', async () => {
    const image = testImage(3)
    const options = { profile: 'overlayfs', labels: 'off', platform: 'linux/amd64', mediaType: MANIFEST } as const
    const request = { reference: 'busybox', snapshotter: 'mine', ...options }
    const planned = await api.client().plan({ ...request, manifest: image.manifest, config: image.config })
    expect(planned.digest).toBe(plan({ ...request, manifest: image.manifest, config: image.config }).digest)
    expect(planned.plan.reference).toBe('docker.io/library/busybox:latest')
  })

  test("a store's name goes to the plan to the letter, and over the wire as in the library", async () => {
    const { manifest, config } = testImage(7)
    const request = {
      reference: 'Foo/BAR:x',
      referenceForm: 'store',
      snapshotter: 'overlayfs',
      manifest,
      config,
    } as const
    const planned = await api.client().plan(request)
    expect(planned.plan.reference).toBe('Foo/BAR:x')
    expect(planned.digest).toBe(plan(request).digest)
  })

  test('documents kept before and named by digest give the same plan as the same documents uploaded', async () => {
    const image = testImage(4)
    await keep(image)
    const uploaded = await api
      .client()
      .plan({ reference, snapshotter: 'soci', manifest: image.manifest, config: image.config })
    const named = { reference, snapshotter: 'soci', manifest: image.manifestDigest }
    expect((await api.client().plan(named)).digest).toBe(uploaded.digest)
    expect((await api.client().plan({ ...named, config: image.configDigest })).digest).toBe(uploaded.digest)
  })

  test('an index by digest: the platform chooses, and without one the call is refused', async () => {
    const images = { amd64: testImage(5), arm64: testImage(6, { architecture: 'arm64' }) }
    for (const image of Object.values(images)) await keep(image)
    const stored = await api.client().storeImage({ bytes: testIndex(images), mediaType: INDEX })
    const request = { reference, snapshotter: 'overlayfs', manifest: stored.digest }
    const planned = await api.client().plan({ ...request, platform: 'linux/arm64' })
    expect(planned.plan.manifest.digest).toBe(images.arm64.manifestDigest)
    await expect(api.client().plan(request)).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
    await expect(api.client().plan({ ...request, platform: 'linux/s390x' })).rejects.toMatchObject({
      code: 'PLATFORM_NOT_FOUND',
    })
  })

  test('the same request twice gives the same plan and keeps it once', async () => {
    const image = testImage(7)
    const request = { reference, snapshotter: 'native', manifest: image.manifest, config: image.config }
    const first = await api.client().plan(request)
    const second = await api.client().plan(request)
    expect(second.bytes).toEqual(first.bytes)
    expect(await api.db.prepare('SELECT count(*) AS n FROM plans').first('n')).toBe(1)
  })

  test.each<[string, string, number, (image: TestImage) => [Partial<TestImage>, Record<string, string | string[]>]]>([
    ['a manifest that is not JSON', 'JSON_INVALID', 422, () => [{ manifest: encode('{') }, {}]],
    ['a key that stands twice', 'JSON_DUPLICATE_KEY', 422, () => [{ manifest: encode('{"a":1,"a":2}') }, {}]],
    ['bytes after the document', 'JSON_TRAILING_BYTES', 422, () => [{ manifest: encode('{} {}') }, {}]],
    ['nesting without end', 'JSON_TOO_DEEP', 422, () => [{ manifest: encode('['.repeat(10_000)) }, {}]],
    [
      'a schema 1 manifest',
      'MANIFEST_SCHEMA1',
      415,
      () => [{ manifest: encode({ schemaVersion: 1, fsLayers: [] }) }, {}],
    ],
    ['an index for a manifest', 'MANIFEST_IS_INDEX', 422, () => [{ manifest: testIndex({}) }, {}]],
    ['another config', 'DIGEST_MISMATCH', 422, () => [{ config: testImage(999).config }, {}]],
    ['a reference that is none', 'REFERENCE_INVALID', 422, () => [{}, { reference: 'UPPER/Case:' }]],
    ['a snapshotter that is none', 'SNAPSHOTTER_INVALID', 422, () => [{}, { snapshotter: '../etc' }]],
    ['a profile that is none', 'PROFILE_UNKNOWN', 404, () => [{}, { profile: 'none-such' }]],
    [
      'labels off where they are needed',
      'PLAN_LABEL_REQUIRED',
      422,
      () => [{}, { snapshotter: 'nydus', labels: 'off' }],
    ],
    ['a platform that is none', 'PLATFORM_INVALID', 422, () => [{}, { platform: 'a/b/c/d' }]],
    ["another platform than the image's", 'PLATFORM_MISMATCH', 422, () => [{}, { platform: 'linux/s390x' }]],
    ['a media type that is none', 'MEDIA_TYPE_UNSUPPORTED', 415, () => [{}, { mediaType: 'text/plain' }]],
    ['no snapshotter', 'REQUEST_INVALID', 400, () => [{}, { snapshotter: [] }]],
    [
      'seventeen snapshotters',
      'REQUEST_INVALID',
      400,
      () => [{}, { snapshotter: Array.from({ length: 17 }, () => 'x') }],
    ],
    ['a field that nobody knows', 'REQUEST_INVALID', 400, () => [{}, { extra: 'x' }]],
  ])('refuses %s with %s and keeps nothing', async (_, code, status, make) => {
    const image = testImage(8)
    const [documents, fields] = make(image)
    const body = form({ ...image, ...documents }, { reference, snapshotter: 'overlayfs', ...fields })
    const response = await api.call('/v1/plans', { method: 'POST', body })
    const problem = await problemOf(response)
    expect([problem.code, problem.status, response.status]).toEqual([code, status, status])
    expect(await api.db.prepare('SELECT count(*) AS n FROM texts').first('n')).toBe(0)
  })

  test('several plans of an image whose annotations have names of JavaScript are those of the library', async () => {
    const image = testImage(32)
    const annotations = '{"__proto__":"x","constructor":"y","containerd.io/snapshot/__proto__":"z"}'
    const text = new TextDecoder().decode(image.manifest)
    const manifest = encode(text.replaceAll('"size": 1000', `"annotations": ${annotations}, "size": 1000`))
    const request = { manifest, config: image.config, reference }
    const made = await api.client().plans({ ...request, snapshotter: ['overlayfs', 'native'] })
    const due = ['overlayfs', 'native'].map((snapshotter) => plan({ ...request, snapshotter }).digest)
    expect(made.map(({ digest }) => digest)).toEqual(due)
  })

  test('bounds layers times snapshotters: what overlayfs can mount goes for sixteen, more is refused unplanned', async () => {
    const snapshotter = Array.from({ length: 16 }, (_, at) => `snapshotter-${at}`)
    const most = testImage(30, { layers: 128 })
    expect(await api.client().plans({ ...documentsOf(most), reference, snapshotter })).toHaveLength(16)
    const more = testImage(31, { layers: 129 })
    const refused = api.client().plans({ ...documentsOf(more), reference, snapshotter })
    await expect(refused).rejects.toMatchObject({
      code: 'REQUEST_TOO_LARGE',
      detail: { limit: 2048, layers: 129, snapshotters: 16 },
    })
    expect(await api.db.prepare('SELECT count(*) AS n FROM plans').first('n')).toBe(16)
    expect(await api.client().plans({ ...documentsOf(more), reference, snapshotter: 'one' })).toHaveLength(1)
  })

  test('refuses a document sent as a text part, which would not keep its bytes', async () => {
    const image = testImage(9)
    const body = form(image, { reference, snapshotter: 'overlayfs' })
    body.set('manifest', new TextDecoder().decode(image.manifest))
    const problem = await problemOf(await api.call('/v1/plans', { method: 'POST', body }))
    expect(problem).toMatchObject({ code: 'REQUEST_INVALID', detail: expect.stringContaining('file part') })
  })

  test('refuses layers that do not go with their diff IDs', async () => {
    const image = testImage(10)
    const config = testImage(10, { layers: 1 }).config
    const manifest = encode(
      new TextDecoder()
        .decode(image.manifest)
        .replace(image.configDigest, digestBytes(config))
        .replace(`"size": ${image.config.byteLength}`, `"size": ${config.byteLength}`),
    )
    const request = { reference, snapshotter: 'overlayfs', manifest, config }
    await expect(api.client().plan(request)).rejects.toMatchObject({ code: 'LAYERS_DIFFIDS_MISMATCH' })
  })

  test('refuses one snapshotter of several: no plan is made for the others either', async () => {
    const image = testImage(11)
    const request = { reference, snapshotter: ['overlayfs', '!'], manifest: image.manifest, config: image.config }
    await expect(api.client().plans(request)).rejects.toMatchObject({ code: 'SNAPSHOTTER_INVALID' })
    expect(await api.db.prepare('SELECT count(*) AS n FROM plans').first('n')).toBe(0)
  })

  test.each([
    ['no body', {}, 'REQUEST_INVALID'],
    ['a body without a type', { body: new Blob([encode('{}')]) }, 'MEDIA_TYPE_UNSUPPORTED'],
    ['a body of another type', { body: 'x', headers: { 'content-type': 'text/plain' } }, 'MEDIA_TYPE_UNSUPPORTED'],
    ['JSON that is none', { body: '{', headers: { 'content-type': 'application/json' } }, 'REQUEST_INVALID'],
    [
      'a form that is none',
      { body: 'x', headers: { 'content-type': 'multipart/form-data; boundary=y' } },
      'REQUEST_INVALID',
    ],
    ['a digest that is none', { json: { reference, snapshotter: 'x', manifest: 'sha256:zz' } }, 'DIGEST_INVALID'],
    [
      'a manifest that is not kept',
      { json: { reference, snapshotter: 'x', manifest: testImage(12).manifestDigest } },
      'IMAGE_NOT_FOUND',
    ],
    ['no snapshotter', { json: { reference, manifest: testImage(12).manifestDigest } }, 'REQUEST_INVALID'],
  ])('refuses %s, and says what is due', async (_, call, code) => {
    const problem = await problemOf(await api.call('/v1/plans', { method: 'POST', ...call }))
    expect(problem).toMatchObject({ code, fix: expect.stringMatching(/^[A-Z].*\.$/u) as string })
    expect(problem.detail).not.toMatch(/invalid input$/iu)
  })

  test('a kept manifest whose config is not: the config is named', async () => {
    const image = testImage(13)
    await api.client().storeImage({ bytes: image.manifest, mediaType: MANIFEST })
    const request = { reference, snapshotter: 'overlayfs', manifest: image.manifestDigest }
    await expect(api.client().plan(request)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      detail: { digest: image.configDigest },
    })
  })
})

describe('GET /v1/plans/{digest}', () => {
  test('the canonical bytes, for ever, and 304 to who holds them', async () => {
    const image = testImage(14)
    const planned = await api
      .client()
      .plan({ reference, snapshotter: 'cvmfs', manifest: image.manifest, config: image.config })
    const path = `/v1/plans/${planned.digest}`
    const response = await api.call(path)
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(planned.bytes)
    expect(response.headers.get('etag')).toBe(`"${planned.digest}"`)
    expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    for (const held of [`"${planned.digest}"`, `W/"${planned.digest}"`, `"x", "${planned.digest}"`, '*']) {
      const again = await api.call(path, { headers: { 'if-none-match': held } })
      expect([again.status, await again.text()]).toEqual([304, ''])
    }
    expect((await api.call(path, { headers: { 'if-none-match': '"sha256:other"' } })).status).toBe(200)
  })

  test('behind a token it is not for shared caches', async () => {
    const image = testImage(15)
    api = await startApi()
    const planned = await api.operator.plan({
      reference,
      snapshotter: 'x',
      manifest: image.manifest,
      config: image.config,
    })
    const response = await api.call(`/v1/plans/${planned.digest}`, { token: OPERATOR })
    expect(response.headers.get('cache-control')).toBe('private, max-age=31536000, immutable')
  })

  test.each([
    [`sha256:${'0'.repeat(64)}`, 'PLAN_NOT_FOUND', 404],
    ['sha256:XYZ', 'DIGEST_INVALID', 422],
    ['md5:d41d8cd98f00b204e9800998ecf8427e', 'DIGEST_INVALID', 422],
  ])('%s is %s', async (digest, code, status) => {
    expect(await problemOf(await api.call(`/v1/plans/${digest}`))).toMatchObject({ code, status })
  })

  test('a plan of a thousand layers comes back byte for byte, past what one D1 value holds', async () => {
    const image = testImage(16, { layers: 1000 })
    const request = { reference, snapshotter: 'stargz', manifest: image.manifest, config: image.config }
    const local = plan(request)
    expect(local.bytes.byteLength).toBeGreaterThan(2_000_000)
    expect((await api.client().plan(request)).digest).toBe(local.digest)
    expect((await api.client().getPlan(local.digest)).bytes).toEqual(local.bytes)
  })
})
