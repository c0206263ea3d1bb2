import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { Snapshotter } from '../../../functions/node/ports.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { NEWEST, nydusProgram, programs } from '../../support/containerd/versions.ts'

const REF = 'containerd.io/snapshot.ref'
const LAYER_DIGEST = 'containerd.io/snapshot/cri.layer-digest'
const code = (wanted: string): object => expect.objectContaining({ code: wanted })
const digest = (letter: string): string => `sha256:${letter.repeat(64)}`

const [newest, nydus] = [await programs(NEWEST), await nydusProgram()]
const missing = [newest, nydus].flatMap((found) => ('missing' in found ? [found.missing] : []))
const reason = missing.length === 0 ? '' : ` (skipped: ${missing.join('; ')})`

// containerd/FACTS.md section 4: what a remote snapshotter's answers look like through the port.
describe.skipIf(missing.length > 0)(`the nydus snapshotter in proxy mode${reason}`, () => {
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let snapshots: Snapshotter

  beforeAll(async () => {
    containerd = await startContainerd({ version: NEWEST, nydus: true })
    const unleased = await containerd.connect()
    backend = unleased.withLease((await unleased.leases.create()).id)
    snapshots = backend.snapshotter('nydus')
  })
  afterAll(() => containerd?.stop())

  test('is listed as ready, and rebases nothing', async () => {
    const root = join(containerd.directory, 'nydus')
    expect(await backend.snapshotters()).toContainEqual({ name: 'nydus', capabilities: [], root })
  })

  test('takes a labelled layer by itself: Prepare answers ALREADY_EXISTS and the chain ID is there', async () => {
    const labels = { [REF]: digest('a'), [LAYER_DIGEST]: digest('b') }
    await expect(snapshots.prepare('extract-a', '', labels)).rejects.toEqual(code('ALREADY_EXISTS'))
    const taken = await snapshots.stat(digest('a'))
    expect(taken).toMatchObject({ kind: 'committed', parent: '', labels })
    await expect(snapshots.stat('extract-a')).rejects.toEqual(code('SNAPSHOT_NOT_FOUND'))

    const above = { [REF]: digest('c'), [LAYER_DIGEST]: digest('d') }
    await expect(snapshots.prepare('extract-c', digest('a'), above)).rejects.toEqual(code('ALREADY_EXISTS'))
    expect(await snapshots.stat(digest('c'))).toMatchObject({ parent: digest('a') })
  })

  test('has labels of its own on a snapshot, beside those that were sent', async () => {
    const labels = { [REF]: digest('e'), [LAYER_DIGEST]: digest('f') }
    await expect(snapshots.prepare('extract-e', '', labels)).rejects.toEqual(code('ALREADY_EXISTS'))
    expect((await snapshots.stat(digest('e'))).labels).toEqual({
      ...labels,
      'containerd.io/snapshot/nydus-proxy-mode': 'true',
    })
  })

  test('says which label it misses, and leaves no snapshot', async () => {
    await expect(snapshots.prepare('extract-x', '', { [REF]: digest('9') })).rejects.toThrow(
      /missing CRI reference annotation/,
    )
    await expect(snapshots.stat(digest('9'))).rejects.toEqual(code('SNAPSHOT_NOT_FOUND'))
    await expect(snapshots.stat('extract-x')).rejects.toEqual(code('SNAPSHOT_NOT_FOUND'))
  })

  test('takes an unlabelled layer for a container’s own, with mounts that only a guest can use', async () => {
    const [mount] = await snapshots.prepare('container', '', {})
    expect(mount?.type).toBe('fuse.nydus-overlayfs')
    await snapshots.remove('container')
  })
})
