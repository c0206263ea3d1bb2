import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Digest } from '../../../functions/image/digest.ts'
import { faultOf } from '../../../functions/node/blob-fault.ts'
import type { Backend, ContentInfo } from '../../../functions/node/ports.ts'
import { ensureBlob } from '../../../functions/runner/content/ensure-blob.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { snapshotNames, store } from '../../runner/unpack/support/stores.ts'
import { all } from '../../support/all.ts'
import { collect } from '../../support/collect.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { damagedBlobs } from './suites/damaged-blobs.ts'

const SNAPSHOTTER = 'native'
const STORE = 'root/io.containerd.content.v1.content/blobs'
const SOURCE = 'containerd.io/distribution.source.registry.example'

await describeContainerd('damaged blobs', (version) => {
  let containerd: TestContainerd
  let one: Backend
  let other: Backend
  let count = 0
  beforeAll(async () => {
    containerd = await startContainerd({ version, namespace: 'damaged' })
    one = await containerd.connect('one')
    other = await containerd.connect('other')
  })
  afterAll(() => containerd?.stop())

  const fileOf = (digest: Digest): string => join(containerd.directory, STORE, digest.replace(':', '/'))
  const alter = async (digest: Digest): Promise<void> => {
    const bytes = await readFile(fileOf(digest))
    await writeFile(fileOf(digest), bytes.fill(0, 0, 4))
  }
  const content = async (backend: Backend): Promise<Map<Digest, ContentInfo>> =>
    new Map((await all(backend.content.list())).map((info) => [info.digest, info]))
  /** What the namespace has, as far as a replacement may not change it. */
  const stateOf = async (backend: Backend) => ({
    labels: [...(await content(backend))].map(([digest, { labels }]) => [digest, labels]),
    snapshots: await snapshotNames(backend, SNAPSHOTTER),
    leases: await all(backend.leases.list()),
  })
  const bytesOf = (image: BuiltImage, digest: Digest) =>
    async function* () {
      yield image.blobs.get(digest) ?? new Uint8Array()
    }
  const heal = (backend: Backend, image: BuiltImage, digest: Digest) => {
    const size = image.blobs.get(digest)?.length ?? 0
    return ensureBlob({
      content: backend.content,
      expected: { digest, size },
      read: bytesOf(image, digest),
      labels: () => ({}),
    })
  }

  damagedBlobs({
    run: (args) => containerd.layercast(...args),
    snapshotter: SNAPSHOTTER,
    fileOf,
  })

  test.each(['manifest', 'config', 'layer'] as const)(
    'a replaced %s keeps its labels and all that they keep, in every namespace',
    async (what) => {
      const image = smallImage(`namespaces ${version} ${++count}`)
      for (const backend of [one, other]) {
        await store(backend, image)
        await unpack({ backend, planned: planOf(image, { snapshotter: SNAPSHOTTER }) })
        const label = { [SOURCE]: backend === one ? 'team/one' : 'team/other' }
        for (const digest of image.blobs.keys()) await backend.content.label(digest, label)
      }
      const digest = what === 'layer' ? (image.layers[1]?.digest as Digest) : image[what].digest
      // The name led to another image before, which the collector takes when it next runs.
      for (const backend of [one, other]) await collect(backend)
      const before = [await stateOf(one), await stateOf(other)]
      await alter(digest)
      expect(await heal(one, image, digest)).toBe('replaced')
      for (const backend of [one, other]) await collect(backend)
      expect([await stateOf(one), await stateOf(other)]).toEqual(before)
      for (const backend of [one, other]) {
        for (const [blob, { size }] of await content(backend)) {
          expect(await faultOf(backend.content, { digest: blob, size })).toBeUndefined()
        }
      }
      expect((await containerd.ctr('content', 'active')).trim().split('\n')).toHaveLength(1)
    },
  )

  test('a damaged blob of another namespace is not taken for the one that is imported', async () => {
    const image = smallImage(`shared ${version} ${++count}`)
    await store(other, image)
    const digest = image.layers[0]?.digest as Digest
    await alter(digest)
    const { id } = await one.leases.create()
    expect(await heal(one.withLease(id), image, digest)).toBe('replaced')
    for (const backend of [one, other]) {
      expect(await faultOf(backend.content, { digest, size: image.layers[0]?.size ?? 0 })).toBeUndefined()
    }
    await one.leases.delete(id)
  })

  test('two that replace the same blob at once leave it right', async () => {
    const image = smallImage(`at once ${version} ${++count}`)
    await store(one, image)
    const digest = image.layers[2]?.digest as Digest
    await truncate(fileOf(digest), 3)
    await Promise.all([heal(one, image, digest), heal(one, image, digest), heal(one, image, digest)])
    expect(await faultOf(one.content, { digest, size: image.layers[2]?.size ?? 0 })).toBeUndefined()
    expect((await stateOf(one)).leases).toEqual([])
  })
})
