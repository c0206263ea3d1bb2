import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Digest } from '../../../functions/image/digest.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { snapshotNames } from '../../runner/unpack/support/stores.ts'
import { digestOf } from '../../support/images/image.ts'
import { make } from './root.ts'

const GC = 'containerd.io/gc.ref.snapshot.overlayfs'

let root: string
let backend: Backend

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'layercast-collect-'))
  backend = await openEmbedded({ root })
})
afterEach(async () => {
  await backend.close()
  await rm(root, { recursive: true })
})

async function chainUnder(lease: string, ...names: string[]): Promise<void> {
  const snapshotter = backend.withLease(lease).snapshotter('overlayfs')
  let parent = ''
  for (const name of names) {
    await snapshotter.prepare(`making ${name}`, parent, {})
    await snapshotter.commit(name, `making ${name}`, {})
    parent = name
  }
}

test('a lease that goes with sync takes along what nothing else keeps, rows and directories', async () => {
  const { id } = await backend.leases.create()
  await chainUnder(id, 'a', 'b')
  await backend.withLease(id).snapshotter('overlayfs').prepare('half', 'b', {})
  await backend.leases.delete(id, { sync: true })
  expect(await snapshotNames(backend, 'overlayfs')).toEqual([])
  expect(await readdir(join(root, 'snapshots'))).toEqual([])
})

test('without sync nothing goes', async () => {
  const { id } = await backend.leases.create()
  await chainUnder(id, 'a')
  await backend.leases.delete(id)
  expect(await snapshotNames(backend, 'overlayfs')).toEqual(['a'])
})

test('a chain that a blob refers to stays whole, and what is above it goes', async () => {
  const { id } = await backend.leases.create()
  await chainUnder(id, 'a', 'b', 'c')
  const data = new TextEncoder().encode('{}')
  const blob = { digest: digestOf(data), size: data.length }
  const chunks = async function* () {
    yield data
  }
  await backend.content.write(blob, chunks(), { [GC]: 'b' })
  await backend.leases.delete(id, { sync: true })
  expect(await snapshotNames(backend, 'overlayfs')).toEqual(['a', 'b'])
})

test("another lease's snapshots stay, and so does what they stand on", async () => {
  const one = await backend.leases.create()
  const other = await backend.leases.create()
  await chainUnder(one.id, 'a', 'b')
  await backend.withLease(other.id).snapshotter('overlayfs').prepare('upper', 'a', {})
  await backend.leases.delete(one.id, { sync: true })
  expect(await snapshotNames(backend, 'overlayfs')).toEqual(['a', 'upper'])
})

test('what no lease ever held is left alone', async () => {
  await backend.snapshotter('overlayfs').prepare('of a person', '', {})
  const { id } = await backend.leases.create()
  await backend.leases.delete(id, { sync: true })
  expect(await snapshotNames(backend, 'overlayfs')).toEqual(['of a person'])
})

describe('blobs', () => {
  const write = async (on: Backend, text: string, labels: Record<string, string> = {}): Promise<Digest> => {
    const data = new TextEncoder().encode(text)
    const digest = digestOf(data)
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield data
    }
    await on.content.write({ digest, size: data.length }, chunks(), labels)
    return digest
  }
  const there = async (): Promise<string[]> => {
    const found: string[] = []
    for await (const { digest } of backend.content.list()) found.push(digest)
    return found.sort()
  }

  test('of an import that failed go, rows and files; those that an image leads to stay', async () => {
    const { id } = await backend.leases.create()
    const leased = backend.withLease(id)
    const layer = await write(leased, 'layer')
    const config = await write(leased, 'config', { [GC]: 'top' })
    const labels = {
      'containerd.io/gc.ref.content.config': config,
      'containerd.io/gc.ref.content.l.0': layer,
      'containerd.io/gc.ref.content.l.1': digestOf('not here'),
    }
    const manifest = await write(leased, 'manifest', labels)
    const index = await write(leased, 'index', { 'containerd.io/gc.ref.content.m.0': manifest })
    const lost = await write(leased, 'lost', { [GC]: 'lost' })
    await chainUnder(id, 'bottom', 'top', 'above')
    await chainUnder(id, 'lost')
    await backend.images.put('a', { mediaType: 'application/vnd.oci.image.index.v1+json', digest: index, size: 5 })
    await backend.leases.delete(id, { sync: true })
    expect(await there()).toEqual([layer, config, manifest, index].sort())
    expect(existsSync(join(root, 'blobs', lost.replace(':', '/')))).toBe(false)
    expect(await snapshotNames(backend, 'overlayfs')).toEqual(['bottom', 'top'])
  })

  test('stay where another lease has them, where they were before, and where they are marked as roots', async () => {
    const [one, other] = [await backend.leases.create(), await backend.leases.create()]
    const before = await write(backend, 'before')
    const leased = backend.withLease(one.id)
    const shared = await write(leased, 'shared')
    await write(backend.withLease(other.id), 'shared')
    const root1 = await write(leased, 'root', { 'containerd.io/gc.root': 'yes' })
    await write(leased, 'gone')
    await backend.leases.delete(one.id, { sync: true })
    expect(await there()).toEqual([before, shared, root1].sort())
    await backend.leases.delete(other.id, { sync: true })
    expect(await there()).toEqual([before, root1].sort())
  })

  test('that were there before the lease took them go with it only if nothing else keeps them', async () => {
    const found = await write(backend, 'found')
    const named = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: found, size: 5 }
    await backend.images.put('a', named)
    const { id } = await backend.leases.create()
    await write(backend.withLease(id), 'found')
    await backend.leases.delete(id, { sync: true })
    expect(await there()).toEqual([found])
  })
})

test('what a lease held that ended without sync goes an hour later, when someone changes the root', async () => {
  const { id } = await backend.leases.create()
  await chainUnder(id, 'a')
  await backend.leases.delete(id)
  await make(root)
  expect(await snapshotNames(backend, 'overlayfs')).toEqual(['a'])
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61 * 60 * 1000 })
  try {
    // A listing takes nothing away.
    const reading = await openEmbedded({ root })
    expect(await snapshotNames(reading, 'overlayfs')).toEqual(['a'])
    await reading.close()
    await make(root)
  } finally {
    vi.useRealTimers()
  }
  expect(await snapshotNames(backend, 'overlayfs')).toEqual([])
})

test('a lease that has expired is as good as deleted', async () => {
  const { id } = await backend.leases.create({ expiresInSeconds: 0 })
  const leased = backend.withLease(id).snapshotter('overlayfs')
  await expect(leased.prepare('key', '', {})).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(backend.leases.delete(id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  const again = await backend.leases.create({ id })
  expect(again.id).toBe(id)
})
