import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { findImage } from '../../../functions/runner/images/find.ts'
import { byPreference } from '../../../functions/runner/images/record.ts'
import { verifyAll, type VerifiedImage } from '../../../functions/runner/verify/all.ts'
import { buildIndex } from '../../support/images/image.ts'
import { failure } from '../unpack/support/failure.ts'
import { smallImage } from '../unpack/support/images.ts'
import { store } from '../unpack/support/stores.ts'

const [image, other] = [smallImage(), smallImage('other')]
const ID = image.config.digest
const amd64 = { platform: 'linux/amd64' }

let directory: string
let backend: Backend
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-find-'))
  backend = await openEmbedded({ root: join(directory, 'root') })
  await store(backend, image, 'example.com/b:1')
  await store(backend, other, 'example.com/other:1')
})
afterEach(async () => {
  await backend.close()
  await rm(directory, { recursive: true })
})

const named = async (text: string) => (await findImage(backend, text, amd64)).reference
const hex = (digest: string) => digest.slice('sha256:'.length)

test('names are preferred as by CRI, which labels with the first', () => {
  const digest = `sha256:${'a'.repeat(64)}`
  const sorted = [`x.io/a:t@${digest}`, 'foo:2', 'x.io/a:t', `x.io/a@${digest}`, 'x.io/a', digest, 'Foo/BAR:x']
  expect(sorted.toReversed().toSorted(byPreference)).toEqual(sorted)
})

test('an image is found by its ID and by its manifest, whole or shortened, with the algorithm or without', async () => {
  // As CRI keeps them: by tag, by digest, by ID.
  for (const name of [ID, `example.com/b@${image.manifest.digest}`, 'example.com/a:2'])
    await backend.images.put(name, image.manifest)
  for (const text of [ID, hex(ID), hex(ID).slice(0, 13), ID.slice(0, 20)])
    expect([text, await named(text)]).toEqual([text, 'example.com/a:2'])
  for (const { digest } of [image.manifest]) {
    for (const text of [digest, hex(digest), hex(digest).slice(0, 12)])
      expect([text, await named(text)]).toEqual([text, 'example.com/a:2'])
  }
})

test("an index's digest, and that of its manifest of the platform, find its image", async () => {
  const index = buildIndex([{ image, platform: { os: 'linux', architecture: 'amd64' } }])
  const bytes = index.indexBytes
  await backend.content.write(
    index.index,
    (async function* () {
      yield bytes
    })(),
  )
  await backend.images.put('example.com/index:1', index.index)
  await backend.images.remove('example.com/b:1')
  for (const text of [index.index.digest, image.manifest.digest, ID])
    expect(await named(text)).toBe('example.com/index:1')
})

test('a name that reads as a shortened ID is the name', async () => {
  const short = hex(ID).slice(0, 6)
  await backend.images.put(`docker.io/library/${short}:latest`, other.manifest)
  expect((await findImage(backend, short, amd64)).descriptor.digest).toBe(other.manifest.digest)
})

test('a shortened ID of several images is told with all of them', async () => {
  // Of so many images two begin alike.
  for (let n = 0; n < 20; n++) await store(backend, smallImage(String(n)), `example.com/n:${n}`)
  const ids = new Map<string, number>()
  for await (const { name } of backend.images.list()) {
    const { descriptor } = await findImage(backend, name, amd64)
    const first = hex(descriptor.digest)[0] ?? ''
    ids.set(first, (ids.get(first) ?? 0) + 1)
  }
  const [first = ''] = [...ids].find(([, count]) => count > 1) ?? []
  const error = await failure(findImage(backend, `sha256:${first}`, amd64))
  expect(error).toMatchObject({ code: 'IMAGE_AMBIGUOUS', exit: 2 })
  expect(error.message).toMatch(/example\.com\/n:\d+/)
})

test('an ID that no image has is IMAGE_NOT_FOUND', async () => {
  for (const text of ['0'.repeat(64), `sha256:${'0'.repeat(64)}`, '00000000000'])
    expect(await failure(findImage(backend, text, amd64))).toMatchObject({ code: 'IMAGE_NOT_FOUND', exit: 3 })
})

test('verify --all takes names as they are, odd ones and an ID alone too', async () => {
  await backend.images.remove('example.com/b:1')
  await backend.images.remove('example.com/other:1')
  await backend.images.put(ID, image.manifest)
  await backend.images.put('Foo/BAR:x', other.manifest)
  const found: VerifiedImage[] = []
  const { signal } = new AbortController()
  for await (const one of verifyAll({ backend, signal, snapshotter: 'overlayfs', ...amd64 })) found.push(one)
  expect(found.map(({ error }) => error)).toEqual([undefined, undefined])
  expect(found.map(({ planned }) => planned?.plan.reference).toSorted()).toEqual(['Foo/BAR:x', ID].toSorted())
})
