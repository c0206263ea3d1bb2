import { afterAll, beforeAll, expect, test } from 'vitest'
import { LayercastError } from '../../../functions/errors.ts'
import type { Backend, Snapshotter } from '../../../functions/node/ports.ts'
import { all } from '../../support/all.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { isAtLeast } from '../../support/containerd/versions.ts'

const code = (wanted: string): object => expect.objectContaining({ code: wanted })

await describeContainerd('the containerd snapshotter', (version) => {
  let containerd: TestContainerd
  let backend: Backend
  let overlayfs: Snapshotter
  const rebases = isAtLeast(version, '2.2')

  beforeAll(async () => {
    containerd = await startContainerd({ version })
    const unleased = await containerd.connect()
    // Without a lease the garbage collector takes a committed snapshot within milliseconds.
    backend = unleased.withLease((await unleased.leases.create()).id)
    overlayfs = backend.snapshotter('overlayfs')
  })
  afterAll(() => containerd?.stop())

  const makeBaseAndAbove = async (): Promise<void> => {
    await overlayfs.prepare('below', '', {})
    await overlayfs.commit('base', 'below', {})
    await overlayfs.prepare('above', '', {})
  }

  test('the plugins are those that ctr lists, with what they can do and why others are not ready', async () => {
    const listed = (await containerd.ctr('plugins', 'ls'))
      .split('\n')
      .filter((line) => line.startsWith('io.containerd.snapshotter.v1'))
      .map((line) => line.split(/\s+/))
    const plugins = await backend.snapshotters()
    expect(plugins.map(({ name }) => name).toSorted()).toEqual(listed.map((words) => words[1]).toSorted())
    for (const { name, error } of plugins) {
      const status = listed.find((words) => words[1] === name)?.[3]
      expect([name, error === undefined]).toEqual([name, status === 'ok'])
    }
    expect(plugins.find(({ name }) => name === 'devmapper')?.error).toMatch(/not configured/)
    expect((await overlayfs.capabilities()).has('rebase')).toBe(rebases)
    expect((await backend.snapshotter('native').capabilities()).has('rebase')).toBe(false)
  })

  test('an update touches the labels it names and no others, and an empty value removes one', async () => {
    await overlayfs.prepare('labels', '', { keep: '1', drop: '2', 'containerd.io/snapshot/inner': '3' })
    const updated = await overlayfs.update('labels', { drop: '', 'dotted.name/with.path': '4' })
    const wanted = { keep: '1', 'containerd.io/snapshot/inner': '3', 'dotted.name/with.path': '4' }
    expect(updated.labels).toEqual(wanted)
    expect((await overlayfs.stat('labels')).labels).toEqual(wanted)
    const shown = JSON.parse(await containerd.ctr('snapshots', 'info', 'labels'))
    expect(shown.Labels).toEqual(wanted)
    expect((await overlayfs.update('labels', {})).labels).toEqual(wanted)
  })

  test('the labels of Commit replace those of Prepare', async () => {
    await overlayfs.prepare('extract-1 a', '', { 'containerd.io/snapshot.ref': 'a', stale: '1' })
    await overlayfs.commit('a', 'extract-1 a', { 'containerd.io/snapshot.ref': 'a', fresh: '1' })
    const info = await overlayfs.stat('a')
    expect(info).toMatchObject({ name: 'a', parent: '', kind: 'committed' })
    expect(info.labels).toEqual({ 'containerd.io/snapshot.ref': 'a', fresh: '1' })
  })

  test('Prepare of a chain ID that is there answers ALREADY_EXISTS, whatever its key', async () => {
    await overlayfs.prepare('extract-2 b', '', {})
    await overlayfs.commit('b', 'extract-2 b', {})
    const again = overlayfs.prepare('extract-3 b', '', { 'containerd.io/snapshot.ref': 'b' })
    await expect(again).rejects.toEqual(code('ALREADY_EXISTS'))
    await expect(overlayfs.stat('extract-3 b')).rejects.toEqual(code('SNAPSHOT_NOT_FOUND'))
  })

  test.runIf(rebases)('a parent at commit is set', async () => {
    await makeBaseAndAbove()
    await overlayfs.commit('top', 'above', {}, { parent: 'base' })
    expect(await overlayfs.stat('top')).toMatchObject({ kind: 'committed', parent: 'base' })
  })

  test.skipIf(rebases)('a parent at commit is refused where it would be lost in silence', async () => {
    await makeBaseAndAbove()
    const commit = overlayfs.commit('top', 'above', {}, { parent: 'base' })
    await expect(commit).rejects.toEqual(code('FAILED_PRECONDITION'))
    expect(await overlayfs.stat('above')).toMatchObject({ kind: 'active' })
  })

  test('every mistake has its own code, and the daemon’s words in its message', async () => {
    await overlayfs.prepare('p', '', {})
    await overlayfs.commit('parent', 'p', {})
    await overlayfs.prepare('child', 'parent', {})
    const cases: [string, () => Promise<unknown>, RegExp][] = [
      ['SNAPSHOT_NOT_FOUND', () => overlayfs.stat('nowhere'), /nowhere does not exist/],
      ['SNAPSHOT_NOT_FOUND', () => overlayfs.mounts('nowhere'), /nowhere/],
      ['SNAPSHOT_NOT_FOUND', () => overlayfs.prepare('k', 'nowhere', {}), /nowhere/],
      ['SNAPSHOT_NOT_FOUND', () => overlayfs.commit('x', 'nowhere', {}), /nowhere/],
      ['SNAPSHOT_NOT_FOUND', () => overlayfs.remove('nowhere'), /nowhere/],
      ['FAILED_PRECONDITION', () => overlayfs.remove('parent'), /child/],
      ['FAILED_PRECONDITION', () => overlayfs.prepare('k', 'child', {}), /not committed/],
      ['FAILED_PRECONDITION', () => overlayfs.mounts('parent'), /not active/],
      ['ALREADY_EXISTS', () => overlayfs.prepare('child', '', {}), /already exists/],
      ['ALREADY_EXISTS', () => overlayfs.commit('parent', 'child', {}), /already exists/],
      ['LABEL_TOO_LARGE', () => overlayfs.prepare('k', '', { long: 'x'.repeat(4096) }), /4096/],
      ['SNAPSHOTTER_NOT_FOUND', () => backend.snapshotter('nope').stat('x'), /nope/],
      ['SNAPSHOTTER_NOT_FOUND', () => backend.snapshotter('nope').capabilities(), /nope/],
      ['SNAPSHOTTER_NOT_FOUND', () => all(backend.snapshotter('nope').list()), /nope/],
    ]
    for (const [wanted, attempt, words] of cases) {
      const error = await attempt().then(
        () => expect.unreachable(`${wanted} was not thrown`),
        (thrown: unknown) => thrown,
      )
      expect(error).toBeInstanceOf(LayercastError)
      expect(error).toEqual(expect.objectContaining({ code: wanted, message: expect.stringMatching(words) }))
      expect((error as Error).cause ?? wanted).toBeTruthy()
    }
  })

  test('a list gives every snapshot, also more than one message holds', async () => {
    const native = backend.snapshotter('native')
    const keys = Array.from({ length: 250 }, (_, i) => `many-${i}`)
    for (const key of keys) await native.prepare(key, '', { number: key })
    const listed = await all(native.list())
    expect(listed.map(({ name }) => name).toSorted()).toEqual(keys.toSorted())
    expect(listed.every(({ name, labels }) => labels['number'] === name)).toBe(true)
    for (const key of keys) await native.remove(key)
  })

  test('mounts and usage are those of the snapshotter', async () => {
    const prepared = await overlayfs.prepare('used', '', {})
    expect(prepared).toEqual(await overlayfs.mounts('used'))
    expect(prepared).toMatchObject([{ type: 'bind', target: '', options: ['rw', 'rbind'] }])
    expect(prepared[0]?.source.startsWith(`${containerd.directory}/`)).toBe(true)
    const usage = await overlayfs.usage('used')
    expect(usage.inodes).toBeGreaterThan(0)
    await overlayfs.commit('used-done', 'used', {})
    const [mount] = await overlayfs.view('looking', 'used-done', {})
    expect(mount?.options).toContain('ro')
    expect(await overlayfs.stat('looking')).toMatchObject({ kind: 'view', parent: 'used-done' })
  })
})
