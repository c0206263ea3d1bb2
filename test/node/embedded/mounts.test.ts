import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { withMounted } from '../../../functions/linux/mounted.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import { make, makeBase } from './root.ts'

const base = makeBase()
afterAll(() => rmSync(base, { recursive: true, force: true }))

test('are a bind mount for a base, and overlays of the layers below, the nearest first, for the rest', async () => {
  const root = join(base, 'plain')
  const backend = await openEmbedded({ root })
  const snapshotter = backend.snapshotter('overlayfs')
  const fs = (id: number): string => join(root, 'snapshots', String(id), 'fs')
  expect(await snapshotter.prepare('k1', '', {})).toEqual([
    { type: 'bind', source: fs(1), target: '', options: ['rw', 'rbind'] },
  ])
  await snapshotter.commit('c1', 'k1', {})
  const [second] = await snapshotter.prepare('k2', 'c1', {})
  expect(second).toMatchObject({ type: 'overlay', source: 'overlay', target: '' })
  expect(second?.options.filter((option) => option !== 'index=off')).toEqual([
    `workdir=${join(root, 'snapshots/2/work')}`,
    `upperdir=${fs(2)}`,
    `lowerdir=${fs(1)}`,
  ])
  await snapshotter.commit('c2', 'k2', {})
  expect(await snapshotter.view('v1', 'c1', {})).toEqual([
    { type: 'bind', source: fs(1), target: '', options: ['ro', 'rbind'] },
  ])
  const [view] = await snapshotter.view('v2', 'c2', {})
  expect(view?.options.filter((option) => option !== 'index=off')).toEqual([`lowerdir=${fs(2)}:${fs(1)}`])
  await backend.close()
})

test.skipIf(process.getuid?.() !== 0).each(['a:b', 'a,b', 'a b', 'a\\b', 'grüße', 'a=b', '-a'])(
  'hold under a root of the name %j',
  async (name) => {
    const root = join(base, 'odd', name)
    mkdirSync(join(base, 'odd'), { recursive: true })
    const backend = await openEmbedded({ root })
    const snapshotter = backend.snapshotter('overlayfs')
    for (const n of [1, 2, 3]) {
      const mounts = await snapshotter.prepare(`k${n}`, n === 1 ? '' : `c${n - 1}`, {})
      await withMounted(mounts, async (at) => writeFileSync(join(at, `file-${n}`), ''))
      await snapshotter.commit(`c${n}`, `k${n}`, {})
    }
    const seen = await withMounted(await snapshotter.view('view', 'c3', {}), async (at) =>
      [1, 2, 3].map((n) => existsSync(join(at, `file-${n}`))),
    )
    expect(seen).toEqual([true, true, true])
    await backend.close()
  },
)

test('a root of a newer layercast is left alone', async () => {
  const root = join(base, 'newer')
  await make(root)
  const { DatabaseSync } = await import('node:sqlite')
  const database = new DatabaseSync(join(root, 'layercast.db'))
  database.exec('pragma user_version = 99')
  database.close()
  await expect(openEmbedded({ root })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' })
})

test.each(['file', 'file/below'])('a root that cannot be a directory is named: %s', async (name) => {
  writeFileSync(join(base, 'file'), '')
  const opened = openEmbedded({ root: join(base, name) })
  await expect(opened).rejects.toMatchObject({ code: 'SYSTEM_CALL_FAILED', message: expect.stringContaining(name) })
})
