import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { all } from '../../support/all.ts'
import { faults, makeBase } from './root.ts'

const base = makeBase()
afterAll(() => rmSync(base, { recursive: true, force: true }))

let count = 0
let root: string
let backend: Backend

const REF = 'containerd.io/snapshot.ref'
const fs = (id: number): string => join(root, 'snapshots', String(id), 'fs')

async function layer(name: string, parent: string, file = name): Promise<void> {
  const snapshotter = backend.snapshotter('overlayfs')
  const [mount] = await snapshotter.prepare(`extract-${name}`, parent, { [REF]: name })
  const upper = mount?.options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length)
  writeFileSync(join(upper ?? mount?.source ?? '', file), '')
  await snapshotter.commit(name, `extract-${name}`, { n: name })
}

beforeEach(async () => {
  root = join(base, `root-${++count}`)
  backend = await openEmbedded({ root })
  await layer('a', '')
  await layer('b', 'a')
  await layer('c', 'b')
  return () => backend.close()
})

describe.each([
  ['is gone', () => rmSync(join(root, 'snapshots/2'), { recursive: true })],
  ['has no content', () => rmSync(fs(2), { recursive: true })],
  [
    'holds a file in place of its content',
    () => {
      rmSync(fs(2), { recursive: true })
      writeFileSync(fs(2), '')
    },
  ],
])('a snapshot whose directory %s', (_, lose) => {
  beforeEach(lose)

  test('is not there, nor what stands on it, and both are listed as lost', async () => {
    const snapshotter = backend.snapshotter('overlayfs')
    await expect(snapshotter.stat('a')).resolves.toMatchObject({ name: 'a' })
    for (const name of ['b', 'c']) {
      await expect(snapshotter.stat(name)).rejects.toMatchObject({
        code: 'SNAPSHOT_NOT_FOUND',
        message: expect.stringContaining(join(root, 'snapshots/2')) as string,
      })
      await expect(snapshotter.view(`view-${name}`, name, {})).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' })
      await expect(snapshotter.prepare(`on-${name}`, name, {})).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' })
    }
    const listed = await all(snapshotter.list())
    expect(listed.map(({ name, lost = false }) => [name, lost])).toEqual([
      ['a', false],
      ['b', true],
      ['c', true],
    ])
  })

  test('comes back where it was made again, with what stands on it', async () => {
    const snapshotter = backend.snapshotter('overlayfs')
    await layer('b', 'a', 'again')
    expect(readdirSync(fs(2))).toEqual(['again'])
    expect(existsSync(join(root, 'snapshots/4'))).toBe(false)
    await expect(snapshotter.prepare('extract-c', 'b', { [REF]: 'c' })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    })
    expect((await all(snapshotter.list())).map(({ name, parent, lost }) => [name, parent, lost])).toEqual([
      ['a', '', undefined],
      ['b', 'a', undefined],
      ['c', 'b', undefined],
    ])
    expect(faults(root)).toEqual([])
  })

  test('can be removed, from the top down', async () => {
    const snapshotter = backend.snapshotter('overlayfs')
    await expect(snapshotter.remove('b')).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' })
    await snapshotter.remove('c')
    await snapshotter.remove('b')
    expect((await all(snapshotter.list())).map(({ name }) => name)).toEqual(['a'])
    expect(faults(root)).toEqual([])
  })
})

test('an active snapshot below which one is gone has no mounts, and its own content stays', async () => {
  const snapshotter = backend.snapshotter('overlayfs')
  await snapshotter.prepare('container', 'c', {})
  writeFileSync(join(fs(4), 'data'), 'precious')
  rmSync(join(root, 'snapshots/1'), { recursive: true })
  await expect(snapshotter.mounts('container')).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' })
  await backend.close()
  backend = await openEmbedded({ root })
  await layer('a', '')
  expect(readdirSync(fs(4))).toEqual(['data'])
  await expect(backend.snapshotter('overlayfs').mounts('container')).resolves.toHaveLength(1)
})

test('a layer in the making whose directory is gone is cleared away at the next change; another active one is not', async () => {
  const snapshotter = backend.snapshotter('overlayfs')
  await snapshotter.prepare('extract-d', 'c', { [REF]: 'd' })
  await snapshotter.prepare('container', 'c', {})
  for (const id of [4, 5]) rmSync(join(root, 'snapshots', String(id)), { recursive: true })
  await backend.close()
  backend = await openEmbedded({ root })
  await backend.leases.create()
  const names = (await all(backend.snapshotter('overlayfs').list())).map(({ name }) => name)
  expect(names).toEqual(['a', 'b', 'c', 'container'])
})

test('a snapshots directory that is not there for a while costs nothing', async () => {
  await backend.close()
  const { renameSync } = await import('node:fs')
  renameSync(join(root, 'snapshots'), join(root, 'away'))
  mkdirSync(join(root, 'snapshots'))
  backend = await openEmbedded({ root })
  await backend.leases.create()
  await backend.close()
  rmSync(join(root, 'snapshots'), { recursive: true })
  renameSync(join(root, 'away'), join(root, 'snapshots'))
  backend = await openEmbedded({ root })
  await backend.leases.create()
  expect((await all(backend.snapshotter('overlayfs').list())).map(({ lost }) => lost)).toEqual([
    undefined,
    undefined,
    undefined,
  ])
  expect(faults(root)).toEqual([])
})
