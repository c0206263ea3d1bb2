import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import { parseDigest, type Digest } from '../../../functions/image/digest.ts'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { all } from '../../support/all.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'

const run = promisify(execFile)
const code = (wanted: string): object => expect.objectContaining({ code: wanted })
const digestOf = (bytes: Uint8Array): Digest =>
  parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
const expires = (labels: Record<string, string>): number => Date.parse(labels['containerd.io/gc.expire'] ?? '')
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

await describeContainerd('containerd images, leases and layers', (version) => {
  let containerd: TestContainerd
  let unleased: ContainerdBackend
  let backend: ContainerdBackend

  beforeAll(async () => {
    containerd = await startContainerd({ version })
    unleased = await containerd.connect()
    backend = unleased.withLease((await unleased.leases.create()).id)
  })
  afterAll(() => containerd?.stop())

  const store = async (bytes: Uint8Array, mediaType: string, through = backend): Promise<Descriptor> => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length }
    const once = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes
    }
    await through.content.write(descriptor, once())
    return descriptor
  }
  /** A layer of one directory with a file and a link, as tar makes it. */
  const makeLayer = async (name: string): Promise<{ tar: Buffer; gzip: Buffer }> => {
    const tree = join(containerd.directory, 'tmp', name)
    await mkdir(join(tree, 'dir'), { recursive: true })
    await writeFile(join(tree, 'dir', 'file'), `of ${name}\n`, { mode: 0o640 })
    await run('ln', ['-s', 'file', join(tree, 'dir', 'link')])
    await run('tar', ['-C', tree, '--owner=7', '--group=8', '--numeric-owner', '-cf', `${tree}.tar`, '.'])
    const tar = await readFile(`${tree}.tar`)
    return { tar, gzip: gzipSync(tar) }
  }
  /** Collects garbage now: deleting a lease in step does that. */
  const collectGarbage = async (): Promise<void> => {
    await containerd.ctr('leases', 'create', '--id', 'sweep')
    await containerd.ctr('leases', 'delete', '--sync', 'sweep')
  }

  test('an image is made, read, pointed elsewhere and removed', async () => {
    const [first, second] = [
      await store(randomBytes(10), MANIFEST),
      { ...(await store(randomBytes(20), MANIFEST)), annotations: { 'a.b': 'c' } },
    ]
    const name = 'registry.test/some/image:1'
    const made = await backend.images.put(name, first, { one: '1', two: '2' })
    expect(made).toMatchObject({ name, target: first, labels: { one: '1', two: '2' } })
    expect(await backend.images.get(name)).toEqual(made)

    await backend.images.put(name, second, { two: '3' })
    const moved = await backend.images.get(name)
    expect(moved).toMatchObject({ target: second, labels: { one: '1', two: '3' }, createdAt: made.createdAt })
    expect((await containerd.ctr('images', 'ls', '-q')).split('\n')).toContain(name)
    expect((await all(backend.images.list())).map((image) => image.name)).toEqual([name])

    await backend.images.remove(name)
    await expect(backend.images.get(name)).rejects.toEqual(code('IMAGE_NOT_FOUND'))
    await expect(backend.images.remove(name)).rejects.toEqual(code('IMAGE_NOT_FOUND'))
  })

  test('a lease expires a day later unless it is told otherwise, and is listed until it is deleted', async () => {
    const lease = await unleased.leases.create({ labels: { mine: '1' } })
    expect(Math.abs(expires(lease.labels) - Date.now() - 86_400_000)).toBeLessThan(10_000)
    expect(lease.labels['containerd.io/gc.expire']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const short = await unleased.leases.create({ id: 'short', expiresInSeconds: 60 })
    expect(short.id).toBe('short')
    expect(Math.abs(expires(short.labels) - Date.now() - 60_000)).toBeLessThan(10_000)
    expect((await all(unleased.leases.list())).map(({ id }) => id)).toEqual(expect.arrayContaining([lease.id, 'short']))
    await expect(unleased.leases.create({ id: 'short' })).rejects.toEqual(code('ALREADY_EXISTS'))
    await unleased.leases.delete('short')
    await unleased.leases.delete(lease.id)
    await expect(unleased.leases.delete('short')).rejects.toEqual(code('NOT_FOUND'))
    expect(await containerd.ctr('leases', 'ls', '-q')).not.toContain(lease.id)
  })

  test('what is made under a lease outlives the garbage collector until the lease goes', async () => {
    const lease = await unleased.leases.create()
    const leased = unleased.withLease(lease.id)
    const blob = await store(randomBytes(100), LAYER, leased)
    const stray = await store(randomBytes(100), LAYER, unleased)
    const snapshots = leased.snapshotter('overlayfs')
    await snapshots.prepare('held', '', {})
    await snapshots.commit('held-done', 'held', {})
    await collectGarbage()
    await expect(unleased.content.info(stray.digest)).rejects.toEqual(code('BLOB_NOT_FOUND'))
    expect(await unleased.content.info(blob.digest)).toMatchObject({ size: 100 })
    expect(await snapshots.stat('held-done')).toMatchObject({ kind: 'committed' })
    await unleased.leases.delete(lease.id)
    await collectGarbage()
    await expect(unleased.content.info(blob.digest)).rejects.toEqual(code('BLOB_NOT_FOUND'))
    await expect(snapshots.stat('held-done')).rejects.toEqual(code('SNAPSHOT_NOT_FOUND'))
  })

  test.each(['overlayfs', 'native'])('a layer applied into %s has the diff ID of its tar', async (name) => {
    const { tar, gzip } = await makeLayer(`layer-${name}`)
    const layer = await store(gzip, LAYER)
    const mounts = await backend.snapshotter(name).prepare(`apply-${name}`, '', {})
    const progress: number[] = []
    const applied = await backend.diffService.apply(layer, mounts, { onProgress: (bytes) => progress.push(bytes) })
    expect(applied).toEqual({ diffID: digestOf(tar), size: tar.length })
    expect(progress.at(-1)).toBe(layer.size)
    const { stdout } = await run('stat', ['-c', '%a %u %g', join(mounts[0]?.source ?? '', 'dir', 'file')])
    expect(stdout.trim()).toBe('640 7 8')
    await backend.snapshotter(name).remove(`apply-${name}`)
  })

  test('a layer whose blob is missing or broken, or of an unknown type, is an error that says so', async () => {
    const mounts = await backend.snapshotter('overlayfs').prepare('broken', '', {})
    const { gzip } = await makeLayer('broken')
    const missing = { mediaType: LAYER, digest: digestOf(randomBytes(8)), size: 8 }
    await expect(backend.diffService.apply(missing, mounts)).rejects.toEqual(
      expect.objectContaining({ code: 'BLOB_NOT_FOUND', message: expect.stringContaining(missing.digest) }),
    )
    const cut = await store(gzip.subarray(0, gzip.length / 2), LAYER)
    await expect(backend.diffService.apply(cut, mounts)).rejects.toEqual(
      expect.objectContaining({ code: 'LAYER_CORRUPT', message: expect.stringContaining(cut.digest) }),
    )
    const odd = await store(gzip, 'application/vnd.example.odd')
    await expect(backend.diffService.apply(odd, mounts)).rejects.toEqual(code('LAYER_UNSUPPORTED'))
    await backend.snapshotter('overlayfs').remove('broken')
  })

  test('an apply that is aborted ends as ABORTED', async () => {
    const big = gzipSync(randomBytes(30_000_000), { level: 1 })
    const layer = await store(big, LAYER)
    const mounts = await backend.snapshotter('overlayfs').prepare('aborted', '', {})
    const abort = new AbortController()
    const apply = backend.diffService.apply(layer, mounts, { signal: abort.signal })
    abort.abort()
    await expect(apply).rejects.toEqual(code('ABORTED'))
    await backend.snapshotter('overlayfs').remove('aborted')
  })

  test('a container shows on which snapshot it stands', async () => {
    expect(await all(backend.containers())).toEqual([])
    const rootfs = join(containerd.directory, 'rootfs')
    await mkdir(rootfs)
    await containerd.ctr('containers', 'create', '--rootfs', rootfs, 'one', '/bin/true')
    expect(await all(backend.containers())).toMatchObject([{ id: 'one', runtime: 'io.containerd.runc.v2' }])
  })
})
