/** Archives in which a name or a blob comes twice. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import { readAll, withSource } from '../../runner/sources/support/sources.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { file, symlink, type TarEntry } from '../../support/images/entries.ts'
import { digestOf } from '../../support/images/image.ts'
import { writeTar } from '../../support/images/tar.ts'

const layer = (name: string): Buffer => Buffer.from(writeTar([file(name, name)]))
const [base, first, second, other] = [layer('base'), layer('one'), layer('two'), layer('other')]
const config = (...layers: Buffer[]): string =>
  JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map((bytes) => digestOf(bytes)) },
  })
const saved = (image: string, name: string, ...layers: string[]): object => ({
  Config: image,
  RepoTags: [name],
  Layers: layers,
})
const manifest = (...images: object[]): TarEntry => file('manifest.json', JSON.stringify(images))
const layout = (...tags: [tag: string, bytes: string][]): TarEntry[] => [
  file('oci-layout', '{"imageLayoutVersion":"1.0.0"}'),
  ...tags.map(([, bytes]) => file(`blobs/sha256/${digestOf(bytes).slice(7)}`, bytes)),
  file(
    'index.json',
    JSON.stringify({
      schemaVersion: 2,
      manifests: tags.map(([tag, bytes]) => ({
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest: digestOf(bytes),
        size: bytes.length,
        annotations: { 'io.containerd.image.name': tag },
      })),
    }),
  ),
]
const ociManifest = (bytes: string, ...layers: Buffer[]): string =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(bytes), size: bytes.length },
    layers: layers.map((data) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest: digestOf(data),
      size: data.length,
    })),
  })
const blob = (bytes: string | Buffer): TarEntry => file(`blobs/sha256/${digestOf(bytes).slice(7)}`, bytes)
const inLayout = config(base, first)

/** Archives in which something comes twice, each with the names of images that must be found in it. */
const ARCHIVES: Record<string, { kind: 'docker-archive' | 'oci-archive'; entries: TarEntry[]; names: string[] }> = {
  'a bundle in which the shared layer comes with each image': {
    kind: 'docker-archive',
    names: ['docker.io/x/one:1', 'docker.io/x/two:1'],
    entries: [
      file('c1.json', config(base, first)),
      file('b/VERSION', '1.0'),
      file('b/layer.tar', base),
      file('f/layer.tar', first),
      file('c2.json', config(base, second)),
      file('b/VERSION', '1.0'),
      file('b/layer.tar', base),
      file('d/layer.tar', second),
      manifest(
        saved('c1.json', 'x/one:1', 'b/layer.tar', 'f/layer.tar'),
        saved('c2.json', 'x/two:1', 'b/layer.tar', 'd/layer.tar'),
      ),
    ],
  },
  'a manifest.json that was appended': {
    kind: 'docker-archive',
    names: ['docker.io/library/new:1'],
    entries: [
      file('c1.json', config(base, first)),
      file('b/layer.tar', base),
      file('f/layer.tar', first),
      manifest(saved('c1.json', 'old:1', 'b/layer.tar', 'f/layer.tar')),
      manifest(saved('c1.json', 'new:1', 'b/layer.tar', 'f/layer.tar')),
    ],
  },
  'a layer and a config that were replaced by appending': {
    kind: 'docker-archive',
    names: ['docker.io/library/new:1'],
    entries: [
      file('c1.json', config(base, first)),
      file('b/layer.tar', base),
      file('f/layer.tar', first),
      manifest(saved('c1.json', 'new:1', 'b/layer.tar', 'f/layer.tar')),
      file('./f/layer.tar', second),
      file('c1.json', config(base, second)),
    ],
  },
  'a layer that is both a file and a link': {
    kind: 'docker-archive',
    names: ['docker.io/library/new:1'],
    entries: [
      file('c1.json', config(base, first)),
      file('b/layer.tar', base),
      symlink('f/layer.tar', '../g/layer.tar'),
      file('f/layer.tar', other),
      file('g/layer.tar', first),
      manifest(saved('c1.json', 'new:1', 'b/layer.tar', 'f/layer.tar')),
    ],
  },
  'an OCI layout with two indexes': {
    kind: 'oci-archive',
    names: ['docker.io/library/new:1'],
    entries: [
      blob(base),
      blob(first),
      blob(inLayout),
      ...layout(['docker.io/library/old:1', ociManifest(inLayout, base, first)]),
      blob(base),
      ...layout(['docker.io/library/new:1', ociManifest(inLayout, base, first)]),
    ],
  },
}

interface Found {
  name: string
  digest: string
  layers: string[]
}

await describeContainerd('archives in which something comes twice', (version) => {
  let containerd: TestContainerd
  beforeAll(async () => {
    containerd = await startContainerd({ version })
  })
  afterAll(() => containerd?.stop())

  const imported = async (path: string): Promise<Found[]> => {
    await containerd.ctr('images', 'import', path)
    const list = (await containerd.ctr('images', 'ls')).split('\n').slice(1)
    const found: Found[] = []
    for (const line of list.filter((text) => text.trim() !== '')) {
      const [name = '', , digest = ''] = line.split(/\s+/)
      const { layers } = JSON.parse(await containerd.ctr('content', 'get', digest)) as { layers: Descriptor[] }
      found.push({ name, digest, layers: layers.map((one) => `${one.mediaType} ${one.digest}`) })
      await containerd.ctr('images', 'rm', '--sync', name)
    }
    return found.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  test.each(Object.entries(ARCHIVES))('are read as ctr images import reads them: %s', async (_, archive) => {
    const path = join(containerd.directory, 'tmp', 'twice.tar')
    writeFileSync(path, writeTar(archive.entries))
    const theirs = await imported(path)
    expect(theirs.map(({ name }) => name)).toEqual(archive.names)
    const ours: Found[] = []
    for (const [n] of archive.names.entries()) {
      await withSource(`${archive.kind}:${path}:@${n}`, async (source) => {
        const { layers } = JSON.parse(String(await readAll(source, source.target))) as { layers: Descriptor[] }
        // A blob that is read whole is checked against its digest.
        for (const one of layers) await readAll(source, one)
        ours.push({
          name: source.reference ?? '',
          digest: source.target.digest,
          layers: layers.map((one) => `${one.mediaType} ${one.digest}`),
        })
      })
    }
    expect(ours).toEqual(theirs)
  })

  test('do not have the names that were replaced', async () => {
    const replaced = Object.values(ARCHIVES).filter(({ names }) => names.includes('docker.io/library/new:1'))
    for (const { kind, entries } of replaced) {
      const path = join(containerd.directory, 'tmp', 'replaced.tar')
      writeFileSync(path, writeTar(entries))
      await expect(withSource(`${kind}:${path}:old:1`, async () => undefined)).rejects.toMatchObject({
        code: 'IMAGE_NOT_FOUND',
      })
    }
  })
})
