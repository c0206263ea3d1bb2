import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { checkContent } from '../../../functions/runner/content/check-content.ts'
import { ensureBlob } from '../../../functions/runner/content/ensure-blob.ts'
import { imagesOfBlobs } from '../../../functions/runner/content/images-of-blobs.ts'
import { registrySources } from '../../../functions/runner/content/registry-labels.ts'
import { digestOf } from '../../support/images/image.ts'
import { failure } from '../unpack/support/failure.ts'
import { smallImage } from '../unpack/support/images.ts'
import { store } from '../unpack/support/stores.ts'

const data = new TextEncoder().encode('a blob')
const expected = { digest: digestOf(data), size: data.length }

let directory: string
let backend: Backend
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-content-'))
  backend = await openEmbedded({ root: join(directory, 'root') })
})
afterEach(async () => {
  await backend.close()
  await rm(directory, { recursive: true })
})

const damage = (digest: string) => writeFile(join(directory, 'root/blobs', digest.replace(':', '/')), 'damaged')
let asked = 0
const ensure = (bytes = data, label = 'one') =>
  ensureBlob({
    content: backend.content,
    expected,
    async *read() {
      asked++
      yield bytes
    },
    labels: (existing) => ({ before: existing['name'] ?? '-', name: label }),
  })

test('a blob is written once, replaced where it is damaged, and has the labels each time', async () => {
  asked = 0
  expect(await ensure()).toBe('written')
  expect(await ensure(data, 'two')).toBe('there')
  expect(asked).toBe(1)
  expect((await backend.content.info(expected.digest)).labels).toEqual({ before: 'one', name: 'two' })
  await damage(expected.digest)
  expect(await ensure(data, 'three')).toBe('replaced')
  expect((await backend.content.info(expected.digest)).labels).toEqual({ before: 'two', name: 'three' })
  const [checked] = await checkContent({ backend, signal: new AbortController().signal })
  expect(checked).toEqual({ ...expected, images: [] })
})

test('data that is not the blob is refused, and leaves a damaged one as it is', async () => {
  expect(await failure(ensure(new TextEncoder().encode('other!')))).toMatchObject({ code: 'DIGEST_MISMATCH' })
  await ensure()
  await damage(expected.digest)
  expect(await failure(ensure(new TextEncoder().encode('other!')))).toMatchObject({ code: 'DIGEST_MISMATCH' })
  const [checked] = await checkContent({ backend, signal: new AbortController().signal })
  expect(checked?.fault).toContain('7 of 6 bytes')
})

test('a damaged blob is told with the names of its images, also where the labels that lead to it are gone', async () => {
  const image = smallImage()
  await store(backend, image, 'example.com/b:1')
  await backend.images.put('example.com/a:1', image.manifest)
  for (const { digest } of image.layers) {
    expect((await imagesOfBlobs(backend)).get(digest)).toEqual(['example.com/a:1', 'example.com/b:1'])
  }
  const { labels } = await backend.content.info(image.manifest.digest)
  await backend.content.label(image.manifest.digest, Object.fromEntries(Object.keys(labels).map((key) => [key, ''])))
  expect((await imagesOfBlobs(backend)).get(image.config.digest)).toEqual(['example.com/a:1', 'example.com/b:1'])
})

test('the labels of blobs name the registries and repositories that they came from, each once', async () => {
  const image = smallImage()
  const key = 'containerd.io/distribution.source.registry.example'
  await store(backend, image)
  for (const { digest } of image.layers) await backend.content.label(digest, { [key]: 'team/a,team/b' })
  const blobs = image.layers.map(({ digest }) => digest)
  const target = image.manifest.digest
  const from = (reference: string) => registrySources(backend, { reference, target, blobs })
  expect(await from('docker.io/library/other:1')).toEqual([
    `docker://registry.example/team/a@${target}`,
    `docker://registry.example/team/b@${target}`,
  ])
  // The label has no port: the image's own name has.
  expect(await from('registry.example:5000/team/a:1')).toEqual([
    `docker://registry.example:5000/team/a@${target}`,
    `docker://registry.example:5000/team/b@${target}`,
  ])
  expect(await from('Not A Reference')).toContain(`docker://registry.example/team/a@${target}`)
})
