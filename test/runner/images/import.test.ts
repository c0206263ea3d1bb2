import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { sourceLabel } from '../../../functions/plan/gc-labels.ts'
import { findImage } from '../../../functions/runner/images/find.ts'
import type { ImportEvent } from '../../../functions/runner/images/import.ts'
import { buildIndex } from '../../support/images/image.ts'
import { writeDockerArchive, writeOciArchive, writeOciLayout, writeOciLayoutOf } from '../../support/images/write.ts'
import { failure } from '../unpack/support/failure.ts'
import { smallImage } from '../unpack/support/images.ts'
import { imageOn, importSource, inspectSource } from './support.ts'

const GC = 'containerd.io/gc.ref.content.'
const amd64 = { platform: 'linux/amd64' }

let directory: string
let backend: Backend
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-import-'))
  backend = await openEmbedded({ root: join(directory, 'root') })
})
afterEach(async () => {
  await backend.close()
  await rm(directory, { recursive: true })
})

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
      const found = await importSource(backend, spec, amd64)
      expect(found.reference).toBe(name)
      expect(Buffer.from(found.config).equals(Buffer.from(image.configBytes))).toBe(true)
      expect(await findImage(backend, name, amd64)).toEqual(found)
      expect(await inspectSource(spec, amd64)).toEqual(found)
      expect(await labels(found.descriptor)).toMatchObject({ [`${GC}config`]: image.config.digest })
    }
    expect(await names()).toEqual(['example.com/a:1', 'example.com/b:1', 'example.com/d:1'])
    for (const layer of image.layers) expect(await blobs()).toContain(layer.digest)
    for await (const lease of backend.leases.list()) expect(lease).toBeUndefined()
  })

  test('is called as the user says, or after its file and digest where nobody says anything', async () => {
    await writeOciLayout(image, join(directory, 'My Layout'))
    const spec = `oci:${join(directory, 'My Layout')}`
    expect((await importSource(backend, spec, { ...amd64, reference: 'mine' })).reference).toBe(
      'docker.io/library/mine:latest',
    )
    expect((await importSource(backend, spec, amd64)).reference).toBe(`localhost/my-layout@${image.manifest.digest}`)
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
    const found = await importSource(backend, `oci:${join(directory, 'many')}`, { platform: 'linux/arm64' })
    expect(found).toMatchObject({ target: index.index, descriptor: arm.manifest })
    expect(await labels(index.index)).toEqual({ [`${GC}m.0`]: arm.manifest.digest })
    expect(await blobs()).not.toContain(amd.manifest.digest)
    expect((await backend.images.get('example.com/many:1')).target).toEqual(index.index)
  })

  test('is read once: what is there and right is not asked for again, and progress is told', async () => {
    await writeOciLayout(image, join(directory, 'layout'), { ref: 'example.com/a:1' })
    const spec = `oci:${join(directory, 'layout')}`
    const first: ImportEvent[] = []
    await importSource(backend, spec, { ...amd64, onEvent: (event) => first.push(event) })
    const told = first.filter((event) => event.type === 'blob')
    for (const { digest, size } of [...image.layers, image.config, image.manifest]) {
      expect(told.findLast((event) => event.digest === digest)).toMatchObject({
        bytes: size,
        total: size,
        there: false,
      })
    }
    const second: ImportEvent[] = []
    await importSource(backend, spec, { ...amd64, onEvent: (event) => second.push(event) })
    const again = second.filter((event) => event.type === 'blob')
    expect(again.map(({ there }) => there)).toEqual([...image.layers, image.config, image.manifest].map(() => true))
  })

  test('that fails half way leaves no name, no lease, and can be read again', async () => {
    await writeOciLayout(image, join(directory, 'layout'), { ref: 'example.com/a:1' })
    await rm(join(directory, 'layout/blobs', (image.layers[1]?.digest ?? '').replace(':', '/')))
    const spec = `oci:${join(directory, 'layout')}`
    expect(await failure(importSource(backend, spec, amd64))).toMatchObject({ code: 'BLOB_NOT_FOUND' })
    expect(await names()).toEqual([])
    for await (const lease of backend.leases.list()) expect(lease).toBeUndefined()
    await writeOciLayout(image, join(directory, 'layout'), { ref: 'example.com/a:1' })
    await importSource(backend, spec, amd64)
    expect(await names()).toEqual(['example.com/a:1'])
  })

  test('is stopped by its signal', async () => {
    await writeOciLayout(image, join(directory, 'layout'))
    const signal = AbortSignal.abort()
    expect(
      await failure(importSource(backend, `oci:${join(directory, 'layout')}`, { ...amd64, signal })),
    ).toMatchObject({
      code: 'ABORTED',
    })
    expect(await blobs()).toEqual([])
  })

  test('can be looked at with no node, and is told by its spelling', async () => {
    expect(await failure(inspectSource(`oci:${join(directory, 'nosuch')}`, amd64))).toMatchObject({ exit: 3 })
    expect(await names()).toEqual([])
  })
})

test('a blob of several repositories of one registry says them all, sorted, within the limit of a label', () => {
  const key = 'containerd.io/distribution.source.docker.io'
  expect(sourceLabel('nginx', {})).toEqual({ [key]: 'library/nginx' })
  expect(sourceLabel('nginx', { [key]: 'team/z,library/a' })).toEqual({ [key]: 'library/a,library/nginx,team/z' })
  expect(sourceLabel('nginx', { [key]: 'library/nginx' })).toEqual({ [key]: 'library/nginx' })
  expect(sourceLabel('nginx', { [key]: 'x'.repeat(4096) })).toEqual({})
})
