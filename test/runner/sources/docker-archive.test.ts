import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import { dir, file, symlink, type TarEntry } from '../../support/images/entries.ts'
import { buildImage, digestOf } from '../../support/images/image.ts'
import { writeTar } from '../../support/images/tar.ts'
import { writeDockerArchive, writeOciLayout } from '../../support/images/write.ts'
import { failure, openFailure, readAll, withSource } from './support/sources.ts'

const image = buildImage({ layers: [[dir('etc'), file('etc/one', '1')], [file('etc/two', '2')], [file('a')]] })
const has = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0

let at = ''
beforeEach(() => {
  at = mkdtempSync(join(tmpdir(), 'layercast-docker-'))
})
afterEach(() => rmSync(at, { recursive: true, force: true }))

interface Manifest {
  config: Descriptor
  layers: Descriptor[]
}
const readManifest = (spec: string): Promise<{ manifest: Manifest; blobs: string[] }> =>
  withSource(spec, async (source) => {
    const bytes = await readAll(source, source.target)
    expect(digestOf(bytes)).toBe(source.target.digest)
    const manifest = JSON.parse(String(bytes)) as Manifest
    const blobs: string[] = []
    for (const blob of [manifest.config, ...manifest.layers]) {
      expect(await source.has(blob.digest)).toBe(true)
      blobs.push(digestOf(await readAll(source, blob)))
    }
    return { manifest, blobs }
  })

/** An archive made by hand. */
const write = (entries: TarEntry[], manifest: unknown): string => {
  const path = join(at, 'hand.tar')
  writeFileSync(path, writeTar([...entries, file('manifest.json', JSON.stringify(manifest))]))
  return `docker-archive:${path}`
}
const config = (...diffIDs: string[]): TarEntry =>
  file(
    'config.json',
    JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: diffIDs } }),
  )

describe('a docker archive', () => {
  test.each(['legacy', 'oci'] as const)('of the %s style gives the layers as they lie there', async (style) => {
    await writeDockerArchive(image, join(at, 'saved.tar'), { style })
    const { manifest, blobs } = await readManifest(`docker-archive:${at}/saved.tar`)
    expect(blobs).toEqual([image.config.digest, ...image.diffIDs])
    expect(manifest.config.mediaType).toBe('application/vnd.docker.container.image.v1+json')
    for (const layer of manifest.layers) expect(layer.mediaType).toBe('application/vnd.docker.image.rootfs.diff.tar')
  })

  test('gives the same manifest each time, whatever the archive around it', async () => {
    const specs = []
    for (const style of ['legacy', 'oci'] as const) {
      await writeDockerArchive(image, join(at, `${style}.tar`), { style })
      specs.push(`docker-archive:${at}/${style}.tar`, `docker-archive:${at}/${style}.tar:example.com/test:1`)
    }
    const digests = new Set<string>()
    for (const spec of specs) await withSource(spec, async (source) => digests.add(source.target.digest))
    expect(digests.size).toBe(1)
  })

  test('has the name that it was asked for by, or that of its first tag', async () => {
    await writeDockerArchive(image, join(at, 'saved.tar'), { tags: ['busybox:1', 'example.com/busybox:1'] })
    for (const [name, due] of [
      ['', 'docker.io/library/busybox:1'],
      [':busybox:1', 'docker.io/library/busybox:1'],
      [':docker.io/library/busybox:1', 'docker.io/library/busybox:1'],
      [':example.com/busybox:1', 'example.com/busybox:1'],
      [':@0', 'docker.io/library/busybox:1'],
    ] as const) {
      await withSource(`docker-archive:${at}/saved.tar${name}`, async (source) => expect(source.reference).toBe(due))
    }
    expect(await openFailure(`docker-archive:${at}/saved.tar:busybox:2`)).toMatchObject({ code: 'IMAGE_NOT_FOUND' })
  })

  test('of several images gives the one that is named, under that name, or the Nth', async () => {
    const layers = ['a', 'b'].map((name) => writeTar([file(name)]))
    const [a, b] = layers.map((layer) => digestOf(layer))
    const spec = write(
      [
        file('a.json', JSON.stringify({ rootfs: { type: 'layers', diff_ids: [a] } })),
        file('b.json', JSON.stringify({ rootfs: { type: 'layers', diff_ids: [b] } })),
        ...layers.map((layer, n) => file(`${n}.tar`, layer)),
      ],
      [
        { Config: 'a.json', RepoTags: ['alpine:latest', 'localhost:5000/alpine:3', 'No Name'], Layers: ['0.tar'] },
        { Config: 'b.json', RepoTags: ['busybox:latest'], Layers: ['1.tar'] },
      ],
    )
    for (const [choice, reference, layer] of [
      [':localhost:5000/alpine:3', 'localhost:5000/alpine:3', a],
      [':alpine', 'docker.io/library/alpine:latest', a],
      [':@0', 'docker.io/library/alpine:latest', a],
      [':@1', 'docker.io/library/busybox:latest', b],
      [':busybox:latest', 'docker.io/library/busybox:latest', b],
    ] as const) {
      const found = await withSource(`${spec}${choice}`, async (source) => source.reference)
      const { manifest } = await readManifest(`${spec}${choice}`)
      expect([choice, found, manifest.layers.map(({ digest }) => digest)]).toEqual([choice, reference, [layer]])
    }
    expect(await openFailure(spec)).toMatchObject({ code: 'SOURCE_INVALID' })
    expect(await openFailure(`${spec}:@2`)).toMatchObject({ code: 'IMAGE_NOT_FOUND' })
  })

  test('without tags has no name', async () => {
    await writeDockerArchive(image, join(at, 'saved.tar'), { tags: [] })
    await withSource(`docker-archive:${at}/saved.tar`, async (source) => expect(source.reference).toBeUndefined())
    const layer = writeTar([file('a')])
    const spec = write(
      [config(digestOf(layer)), file('l', layer)],
      [{ Config: 'config.json', RepoTags: null, Layers: ['l'] }],
    )
    await withSource(spec, async (source) => expect(source.reference).toBeUndefined())
  })

  test('may hold the same layer twice, the second one a link', async () => {
    const twice = buildImage({ layers: [[file('a', '1')], [file('b', '2')], [file('a', '1')]] })
    await writeDockerArchive(twice, join(at, 'saved.tar'))
    const { blobs } = await readManifest(`docker-archive:${at}/saved.tar`)
    expect(blobs).toEqual([twice.config.digest, ...twice.diffIDs])
  })

  test('may hold compressed layers, under any name', async () => {
    const tar = writeTar([file('a', 'x'.repeat(10_000))])
    const packed = gzipSync(tar)
    for (const name of ['layer.tar.gz', `blobs/sha256/${digestOf(packed).slice(7)}`]) {
      const spec = write(
        [config(digestOf(tar)), file(name, packed)],
        [{ Config: 'config.json', RepoTags: ['a:1'], Layers: [name] }],
      )
      const { manifest, blobs } = await readManifest(spec)
      expect(blobs[1]).toBe(digestOf(packed))
      expect(manifest.layers[0]?.mediaType).toBe('application/vnd.docker.image.rootfs.diff.tar.gzip')
    }
  })

  test('with several images wants to be told which', async () => {
    const layer = writeTar([file('a')])
    const entries = [config(digestOf(layer)), file('l', layer)]
    const entry = { Config: 'config.json', Layers: ['l'] }
    const spec = write(entries, [
      { ...entry, RepoTags: ['a:1'] },
      { ...entry, RepoTags: ['b:1'] },
    ])
    expect(await openFailure(spec)).toMatchObject({ code: 'SOURCE_INVALID' })
    await withSource(`${spec}:b:1`, async (source) => expect(source.reference).toBe('docker.io/library/b:1'))
    await withSource(`${spec}:@1`, async (source) => expect(source.reference).toBe('docker.io/library/b:1'))
  })

  test('whose layer is not the one that the config names is refused when it is read', async () => {
    const layer = writeTar([file('a')])
    const spec = write(
      [config(digestOf('something else')), file('l', layer)],
      [{ Config: 'config.json', RepoTags: ['a:1'], Layers: ['l'] }],
    )
    expect(await failure(readManifest(spec))).toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  const layer = writeTar([file('a')])
  const good = { Config: 'config.json', RepoTags: ['a:1'], Layers: ['l'] }
  const secret = '/etc/hostname'
  test.each<[string, TarEntry[], unknown, string]>([
    ['no config', [file('l', layer)], [good], 'SOURCE_INVALID'],
    ['no layer', [config(digestOf(layer))], [good], 'SOURCE_INVALID'],
    ['more layers than diff IDs', [config(), file('l', layer)], [good], 'SOURCE_INVALID'],
    ['a layer outside of it', [config(digestOf(layer))], [{ ...good, Layers: [secret] }], 'SOURCE_INVALID'],
    ['a layer above it', [config(digestOf(layer))], [{ ...good, Layers: [`../../../..${secret}`] }], 'SOURCE_INVALID'],
    ['a layer linked out of it', [config(digestOf(layer)), symlink('l', secret)], [good], 'SOURCE_INVALID'],
    ['a config outside of it', [file('l', layer)], [{ ...good, Config: secret }], 'SOURCE_INVALID'],
    ['a config that is a directory', [dir('config.json'), file('l', layer)], [good], 'SOURCE_INVALID'],
    ['a manifest.json that is no list', [config(), file('l', layer)], good, 'DOCUMENT_FIELD_INVALID'],
    ['names that are no text', [config(), file('l', layer)], [{ ...good, Layers: [1] }], 'DOCUMENT_FIELD_INVALID'],
    ['no image', [], [], 'IMAGE_NOT_FOUND'],
  ])('with %s is refused', async (_, entries, manifest, code) => {
    expect(await openFailure(write(entries, manifest))).toMatchObject({ code })
  })

  test('is told from other archives', async () => {
    writeFileSync(join(at, 'other.tar'), writeTar([file('README', 'hello')]))
    expect(await openFailure(`docker-archive:${at}/other.tar`)).toMatchObject({ code: 'SOURCE_INVALID' })
    expect(await openFailure(`docker-archive:${at}/none.tar`)).toMatchObject({ code: 'FILE_NOT_FOUND' })
  })

  test.skipIf(!has('skopeo'))('is read as skopeo wrote it', async () => {
    await writeOciLayout(image, join(at, 'oci'), { ref: 'one' })
    const copy = ['copy', `oci:${at}/oci:one`, `docker-archive:${at}/copy.tar:example.com/app:1`]
    execFileSync('skopeo', copy, { stdio: 'pipe' })
    await withSource(`docker-archive:${at}/copy.tar`, async (source) => {
      expect(source.reference).toBe('example.com/app:1')
    })
    const { blobs } = await readManifest(`docker-archive:${at}/copy.tar`)
    expect(blobs.slice(1)).toEqual(image.diffIDs)
  })
})
