import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Backend, Snapshotter } from '../../../functions/node/ports.ts'
import { removeSnapshots } from '../../../functions/runner/chain/removal.ts'
import { all } from '../../support/all.ts'
import { changed } from '../../support/changed.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'

const ROOT = 'containerd.io/gc.root'

await describeContainerd('removing snapshots from the top down', (version) => {
  let containerd: TestContainerd
  let backend: Backend
  const { signal } = new AbortController()
  beforeAll(async () => {
    containerd = await startContainerd({ version, namespace: 'removal' })
    backend = await containerd.connect()
  })
  afterAll(() => containerd?.stop())

  /** Four snapshots, each on the one before. Something refers to the second too, as an image does whose chain it is. */
  async function chain(snapshotter: Snapshotter): Promise<string[]> {
    const { id } = await backend.leases.create()
    const held = backend.withLease(id).snapshotter(snapshotter.name)
    const names = ['one', 'two', 'three', 'four']
    for (const [at, name] of names.entries()) {
      await held.prepare(`${name} active`, names[at - 1] ?? '', {})
      await held.commit(name, `${name} active`, {})
    }
    for (const name of ['two', 'four']) await snapshotter.update(name, { [ROOT]: 'now' })
    await backend.leases.delete(id, { sync: true })
    return names
  }

  /** Returns when the collector has been through. */
  async function collector(): Promise<void> {
    const { id } = await backend.leases.create()
    await backend.leases.delete(id, { sync: true })
  }

  /** The snapshotter, with the collector passing by after every removal. */
  function withCollector(snapshotter: Snapshotter): Snapshotter {
    return changed(snapshotter, {
      async remove(name: string) {
        await snapshotter.remove(name)
        await collector()
      },
    })
  }

  test('ends well though the collector passes by after each, which else leaves a child that is not there', async () => {
    const snapshotter = backend.snapshotter('overlayfs')
    const names = await chain(snapshotter)
    await removeSnapshots(backend, withCollector(snapshotter), { names: names.toReversed(), signal })
    expect(await all(snapshotter.list())).toEqual([])
    expect(await all(backend.leases.list())).toEqual([])
  })

  test('names the ghost of a child that the collector has taken before, and what is to be done', async () => {
    const snapshotter = backend.snapshotter('overlayfs')
    await chain(snapshotter)
    // As any other client removes it: the collector takes "three" then.
    await withCollector(snapshotter).remove('four')
    expect((await all(snapshotter.list())).map(({ name }) => name).sort()).toEqual(['one', 'two'])
    await expect(removeSnapshots(backend, snapshotter, { names: ['two', 'one'], signal })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      fix: expect.stringContaining('collector') as string,
    })
    // The fix does what it says.
    await snapshotter.update('two', { [ROOT]: '' })
    await collector()
    expect(await all(snapshotter.list())).toEqual([])
  })

  test('a snapshot that others stand on stays', async () => {
    const snapshotter = backend.snapshotter('overlayfs')
    const names = await chain(snapshotter)
    await expect(removeSnapshots(backend, snapshotter, { names: ['one'], signal })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
    })
    expect(await all(snapshotter.list())).toHaveLength(names.length)
    expect(await all(backend.leases.list())).toEqual([])
  })
})
