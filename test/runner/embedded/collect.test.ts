import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/runner/embedded/index.ts'
import type { Backend } from '../../../functions/runner/ports.ts'
import { snapshotNames } from '../unpack/support/stores.ts'
import { digestOf } from '../../support/images/index.ts'

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
