import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import type { Digest } from '../../../functions/image/digest.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { sourceLabel } from '../../../functions/plan/gc-labels.ts'
import { hostPlatform, inspect, resolve, type ImportEvent } from '../../../functions/runner/images/resolve.ts'
import { referenceOf } from '../../../functions/runner/images/spec.ts'
import { file } from '../../support/images/entries.ts'
import { buildImage, buildIndex, type BuiltImage } from '../../support/images/image.ts'
import { writeDockerArchive, writeOciArchive, writeOciLayout, writeOciLayoutOf } from '../../support/images/write.ts'
import { failure } from '../unpack/support/failure.ts'
import { smallImage } from '../unpack/support/images.ts'
import { store } from '../unpack/support/stores.ts'

const GC = 'containerd.io/gc.ref.content.'
const amd64 = { platform: 'linux/amd64' }

let directory: string
let backend: Backend
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-image-'))
  backend = await openEmbedded({ root: join(directory, 'root') })
})
afterEach(async () => {
  await backend.close()
  await rm(directory, { recursive: true })
})

const imageOn = (architecture: string, variant?: string): BuiltImage =>
  buildImage({
    layers: [[file('for', architecture + (variant ?? ''))]],
    platform: { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) },
  })
async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}
const write = async (blobs: ReadonlyMap<Digest, Uint8Array>) => {
  for (const [digest, data] of blobs) await backend.content.write({ digest, size: data.length }, once(data))
}
const names = async () => {
  const all: string[] = []
  for await (const { name } of backend.images.list()) all.push(name)
  return all.sort()
}
const blobs = async () => {
  const all: string[] = []
  for await (const { digest } of backend.content.list()) all.push(digest)
  return all.sort()
}
const labels = async (descriptor: Descriptor) => (await backend.content.info(descriptor.digest)).labels

describe('a name', () => {
  const image = smallImage()

  test('is found as it is, and then as containerd would write it', async () => {
    await store(backend, image, 'docker.io/library/test:latest')
    await store(backend, smallImage('odd'), 'Not A Reference')
    const found = await resolve(backend, 'test', amd64)
    expect(found).toEqual({
      reference: 'docker.io/library/test:latest',
      target: image.manifest,
      descriptor: image.manifest,
      manifest: Buffer.from(image.manifestBytes),
      mediaType: image.manifest.mediaType,
      config: Buffer.from(image.configBytes),
    })
    expect((await resolve(backend, 'Not A Reference', amd64)).reference).toBe('Not A Reference')
  })

  test('that is not there is IMAGE_NOT_FOUND, and one that cannot be a name REFERENCE_INVALID', async () => {
    expect(await failure(resolve(backend, 'nosuch', amd64))).toMatchObject({ code: 'IMAGE_NOT_FOUND', exit: 3 })
    expect(await failure(resolve(backend, 'No Such', amd64))).toMatchObject({ code: 'REFERENCE_INVALID', exit: 2 })
  })

  test('of an index leads to the manifest of the platform, and the config decides where the index does not say', async () => {
    const [amd, arm, silent] = [imageOn('amd64'), imageOn('arm64'), imageOn('s390x')] as const
    const index = buildIndex([
      { image: silent },
      { image: arm, platform: { os: 'linux', architecture: 'arm64' } },
      { image: amd, platform: { os: 'linux', architecture: 'amd64' } },
    ])
    await write(index.blobs)
    await backend.images.put('example.com/many:1', index.index)
    const on = async (platform: string) => (await resolve(backend, 'example.com/many:1', { platform })).descriptor
    expect(await on('linux/amd64')).toEqual(amd.manifest)
    expect(await on('linux/arm64')).toEqual(arm.manifest)
    expect(await on('linux/s390x')).toEqual(silent.manifest)
    const error = await failure(on('windows/amd64'))
    expect(error).toMatchObject({ code: 'PLATFORM_NOT_FOUND', exit: 3 })
    expect(error.message).toContain('linux/arm64')
  })

  test('whose manifest or config is missing or damaged is refused by the blob that is it', async () => {
    await store(backend, image, 'example.com/test:1')
    const swapped = { ...backend, content: { ...backend.content } }
    swapped.content.read = () => once(new TextEncoder().encode('{}'))
    expect(await failure(resolve(swapped, 'example.com/test:1', amd64))).toMatchObject({
      code: 'DIGEST_MISMATCH',
      exit: 5,
    })
    swapped.content.read = () => once(new Uint8Array(5_000_000))
    expect(await failure(resolve(swapped, 'example.com/test:1', amd64))).toMatchObject({ code: 'DIGEST_MISMATCH' })
    swapped.content.info = async (digest) => ({ ...(await backend.content.info(digest)), size: 5_000_000 })
    expect(await failure(resolve(swapped, 'example.com/test:1', amd64))).toMatchObject({ code: 'DOCUMENT_TOO_LARGE' })
    await backend.content.remove(image.config.digest)
    const error = await failure(resolve(backend, 'example.com/test:1', amd64))
    expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3 })
    expect(error.message).toContain(image.config.digest)
  })
})

describe('a source', () => {
  const image = smallImage('source')

  test('of each kind is imported whole, named, held by labels, and by no lease', async () => {
    await writeOciLayout(image, join(directory, 'layout'), { ref: 'example.com/a:1' })
    await writeOciArchive(image, join(directory, 'a.tar'), { ref: 'example.com/b:1' })
    await writeDockerArchive(image, join(directory, 'd.tar'), { tags: ['example.com/d:1'] })
    for (const [spec, name] of [
      [`oci:${join(directory, 'layout')}`, 'example.com/a:1'],
      [`oci-archive:${join(directory, 'a.tar')}`, 'example.com/b:1'],
      [`docker-archive:${join(directory, 'd.tar')}`, 'example.com/d:1'],
    ] as const) {
      const found = await resolve(backend, spec, amd64)
      expect(found.reference).toBe(name)
      expect(Buffer.from(found.config).equals(Buffer.from(image.configBytes))).toBe(true)
      expect(await resolve(backend, name, amd64)).toEqual(found)
      expect(await inspect(spec, amd64)).toEqual(found)
      expect(await labels(found.descriptor)).toMatchObject({ [`${GC}config`]: image.config.digest })
    }
    expect(await names()).toEqual(['example.com/a:1', 'example.com/b:1', 'example.com/d:1'])
    for (const layer of image.layers) expect(await blobs()).toContain(layer.digest)
    for await (const lease of backend.leases.list()) expect(lease).toBeUndefined()
  })

  test('is called as the user says, or after its file and digest where nobody says anything', async () => {
    await writeOciLayout(image, join(directory, 'My Layout'))
    const spec = `oci:${join(directory, 'My Layout')}`
    expect((await resolve(backend, spec, { ...amd64, reference: 'mine' })).reference).toBe(
      'docker.io/library/mine:latest',
    )
    expect((await resolve(backend, spec, amd64)).reference).toBe(`localhost/my-layout@${image.manifest.digest}`)
    expect(await names()).toEqual(['docker.io/library/mine:latest', `localhost/my-layout@${image.manifest.digest}`])
  })

  test('of many platforms gives the one that is wanted, and its index keeps that one', async () => {
    const [amd, arm] = [imageOn('amd64'), imageOn('arm64')]
    const index = buildIndex([
      { image: amd, platform: { os: 'linux', architecture: 'amd64' } },
      { image: arm, platform: { os: 'linux', architecture: 'arm64' } },
    ])
    await writeOciLayoutOf(
      [{ target: index.index, blobs: index.blobs, ref: 'example.com/many:1' }],
      join(directory, 'many'),
    )
    const found = await resolve(backend, `oci:${join(directory, 'many')}`, { platform: 'linux/arm64' })
    expect(found).toMatchObject({ target: index.index, descriptor: arm.manifest })
    expect(await labels(index.index)).toEqual({ [`${GC}m.0`]: arm.manifest.digest })
    expect(await blobs()).not.toContain(amd.manifest.digest)
    expect((await backend.images.get('example.com/many:1')).target).toEqual(index.index)
  })

  test('is read once: what is there and right is not asked for again, and progress is told', async () => {
    await writeOciLayout(image, join(directory, 'layout'), { ref: 'example.com/a:1' })
    const spec = `oci:${join(directory, 'layout')}`
    const first: ImportEvent[] = []
    await resolve(backend, spec, { ...amd64, onEvent: (event) => first.push(event) })
    const told = first.filter((event) => event.type === 'blob')
    for (const { digest, size } of [...image.layers, image.config, image.manifest]) {
      expect(told.findLast((event) => event.digest === digest)).toMatchObject({
        bytes: size,
        total: size,
        there: false,
      })
    }
    const second: ImportEvent[] = []
    await resolve(backend, spec, { ...amd64, onEvent: (event) => second.push(event) })
    const again = second.filter((event) => event.type === 'blob')
    expect(again.map(({ there }) => there)).toEqual([...image.layers, image.config, image.manifest].map(() => true))
  })

  test('that fails half way leaves no name, no lease, and can be read again', async () => {
    await writeOciLayout(image, join(directory, 'layout'), { ref: 'example.com/a:1' })
    await rm(join(directory, 'layout/blobs', (image.layers[1]?.digest ?? '').replace(':', '/')))
    const spec = `oci:${join(directory, 'layout')}`
    expect(await failure(resolve(backend, spec, amd64))).toMatchObject({ code: 'BLOB_NOT_FOUND' })
    expect(await names()).toEqual([])
    for await (const lease of backend.leases.list()) expect(lease).toBeUndefined()
    await writeOciLayout(image, join(directory, 'layout'), { ref: 'example.com/a:1' })
    await resolve(backend, spec, amd64)
    expect(await names()).toEqual(['example.com/a:1'])
  })

  test('is stopped by its signal', async () => {
    await writeOciLayout(image, join(directory, 'layout'))
    const signal = AbortSignal.abort()
    expect(await failure(resolve(backend, `oci:${join(directory, 'layout')}`, { ...amd64, signal }))).toMatchObject({
      code: 'ABORTED',
    })
    expect(await blobs()).toEqual([])
  })

  test('can be looked at with no node, and is told by its spelling', async () => {
    expect(await failure(inspect(`oci:${join(directory, 'nosuch')}`, amd64))).toMatchObject({ exit: 3 })
    expect(await names()).toEqual([])
  })
})

test('a source without a name is called after its path, whatever that looks like', () => {
  const target = smallImage().manifest
  const name = (spec: string) => referenceOf({ spec, target, reference: undefined })
  expect(name('oci:/a/b.c')).toBe(`localhost/b-c@${target.digest}`)
  expect(name('oci-archive:/a/img.tar')).toBe(`localhost/img@${target.digest}`)
  expect(name('oci-archive:/a/img.tar:v1')).toBe(`localhost/img@${target.digest}`)
  expect(name('oci:/')).toBe(`localhost/image@${target.digest}`)
  expect(name('oci:./ÄÖ__')).toBe(`localhost/image@${target.digest}`)
})

test('a blob of several repositories of one registry says them all, sorted, within the limit of a label', () => {
  const key = 'containerd.io/distribution.source.docker.io'
  expect(sourceLabel('nginx', {})).toEqual({ [key]: 'library/nginx' })
  expect(sourceLabel('nginx', { [key]: 'team/z,library/a' })).toEqual({ [key]: 'library/a,library/nginx,team/z' })
  expect(sourceLabel('nginx', { [key]: 'library/nginx' })).toEqual({ [key]: 'library/nginx' })
  expect(sourceLabel('nginx', { [key]: 'x'.repeat(4096) })).toEqual({})
})

test("the host's platform is a platform", () => {
  const { os, architecture } = hostPlatform()
  expect(os).toBe(process.platform)
  expect(architecture).toBe(process.arch === 'x64' ? 'amd64' : process.arch)
})
