import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { Digest } from '../../../functions/image/digest.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import { rebuildRoot } from '../../../functions/node/embedded/rebuild/rebuild.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { all } from '../../support/all.ts'
import { digestOf } from '../../support/images/image.ts'
import { faults, makeBase } from './root.ts'
import { wholeTree } from './whole-tree.ts'

const base = makeBase()
afterAll(() => rmSync(base, { recursive: true, force: true }))

const OCI = 'application/vnd.oci.image'
let count = 0
let root: string
let layerDigest: Digest
let manifestDigest: Digest

async function write(backend: Backend, bytes: Uint8Array, labels = {}): Promise<Digest> {
  const digest = digestOf(bytes)
  async function* once(): AsyncGenerator<Uint8Array> {
    yield bytes
  }
  await backend.content.write({ digest, size: bytes.length }, once(), labels)
  return digest
}

/** Two layers, an image of them under two names, a lease, and a layer in the making. */
beforeEach(async () => {
  root = join(base, `root-${++count}`)
  const backend = await openEmbedded({ root })
  const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
  layerDigest = await write(backend, new TextEncoder().encode('layer'), {
    'containerd.io/distribution.source.example.com': 'app',
  })
  const config = text({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [layerDigest] } })
  const configDigest = await write(backend, config, { 'containerd.io/gc.ref.snapshot.overlayfs': 'b' })
  const manifest = text({
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: { mediaType: `${OCI}.config.v1+json`, digest: configDigest, size: config.length },
    layers: [{ mediaType: `${OCI}.layer.v1.tar`, digest: layerDigest, size: 5 }],
  })
  manifestDigest = await write(backend, manifest)
  const target = { mediaType: `${OCI}.manifest.v1+json`, digest: manifestDigest, size: manifest.length }
  await backend.images.put('example.com/app:1', target, { team: 'x' })
  await backend.images.put('example.com/app:2', target)
  const snapshotter = backend.snapshotter('overlayfs')
  for (const [name, parent] of [
    ['a', ''],
    ['b', 'a'],
  ] as const) {
    await snapshotter.prepare(`making-${name}`, parent, {})
    await snapshotter.commit(name, `making-${name}`, { name })
  }
  await snapshotter.update('b', { later: 'yes' })
  await snapshotter.prepare('half', 'b', {})
  writeFileSync(join(root, 'snapshots/3/fs/half'), 'x')
  // So that the file has pages enough to be damaged in one that is not the first.
  for (let n = 0; n < 40; n++) await backend.leases.create({ id: `lease-${n}`, labels: { pad: 'x'.repeat(300) } })
  await backend.close()
})

const database = (): string => join(root, 'layercast.db')

/** All that a root has, times left out. */
async function content(): Promise<unknown> {
  const backend = await openEmbedded({ root })
  try {
    return {
      images: (await all(backend.images.list())).map(({ name, target, labels }) => ({ name, target, labels })),
      blobs: (await all(backend.content.list())).map(({ digest, size, labels }) => ({ digest, size, labels })),
      snapshots: (await all(backend.snapshotter('overlayfs').list())).map(({ name, parent, kind, labels, lost }) => ({
        name,
        parent,
        kind,
        labels,
        lost,
      })),
    }
  } finally {
    await backend.close()
  }
}

function overwrite(from: number, to: number, byte: number): void {
  const bytes = readFileSync(database())
  bytes.fill(byte, from, to)
  writeFileSync(database(), bytes)
}

function statement(sql: string): void {
  const db = new DatabaseSync(database())
  db.exec('pragma foreign_keys = off')
  db.exec(sql)
  db.close()
}

const DAMAGES: [string, () => void][] = [
  ['empty', () => truncateSync(database(), 0)],
  ['no database', () => writeFileSync(database(), 'this is no database, however long it may be'.repeat(100))],
  ['cut off in a page', () => truncateSync(database(), 5000)],
  ['cut off after a page', () => truncateSync(database(), 4096)],
  ['cut off to less than a header', () => truncateSync(database(), 50)],
  ['without its last page', () => truncateSync(database(), statSync(database()).size - 4096)],
  ['zeroed in a page', () => overwrite(4096, 8192, 0)],
  ['garbage in every page but the first', () => overwrite(4096, statSync(database()).size, 0xa5)],
  ['without a table', () => statement('drop table images')],
  [
    'without any table',
    () => {
      rmSync(database())
      new DatabaseSync(database()).exec('create table t (a); drop table t')
    },
  ],
  ["another program's", () => statement('pragma application_id = 7')],
  ['gone', () => rmSync(database())],
  [
    'a directory',
    () => {
      rmSync(database())
      mkdirSync(database())
    },
  ],
]

describe('a database that is not whole', () => {
  test.each(DAMAGES)('is a clear error that changes nothing: %s', async (_, damage) => {
    damage()
    const before = wholeTree(root)
    await expect(openEmbedded({ root })).rejects.toMatchObject({
      code: 'DATABASE_DAMAGED',
      exit: 1,
      fix: expect.stringContaining(`layercast root rebuild --root ${root}`) as string,
    })
    expect(await rebuildRoot({ root, dryRun: true })).toMatchObject({ whole: false, dryRun: true })
    expect(wholeTree(root)).toEqual(before)
  })

  test('is found at the first change too, where it was whole when the root was opened', async () => {
    const backend = await openEmbedded({ root })
    truncateSync(database(), 0)
    const before = wholeTree(root)
    await expect(backend.leases.create()).rejects.toMatchObject({ code: 'DATABASE_DAMAGED' })
    await expect(all(backend.images.list())).rejects.toMatchObject({ code: 'DATABASE_DAMAGED' })
    await backend.close()
    expect(wholeTree(root)).toEqual(before)
  })

  test.each(['empty', 'gone'])(
    'is found in a root of before there were marks as well, and rebuilt: %s',
    async (how) => {
      rmSync(join(root, 'layercast-root'))
      if (how === 'gone') rmSync(database())
      else truncateSync(database(), 0)
      const before = wholeTree(root)
      await expect(openEmbedded({ root })).rejects.toMatchObject({ code: 'DATABASE_DAMAGED' })
      expect(wholeTree(root)).toEqual(before)
      expect(await rebuildRoot({ root })).toMatchObject({ blobs: 3, snapshots: 2 })
      expect(existsSync(join(root, 'layercast-root'))).toBe(true)
    },
  )
})

describe('a rebuild', () => {
  test.each(DAMAGES)(
    'gives back images, blobs and committed snapshots, and keeps all else: %s',
    async (what, damage) => {
      const before = (await content()) as { snapshots: { name: string }[] }
      damage()
      const lay =
        existsSync(database()) && statSync(database()).isFile() ? digestOf(readFileSync(database())) : undefined
      const rebuilt = await rebuildRoot({ root })
      expect(rebuilt).toMatchObject({
        whole: false,
        images: [
          { name: 'example.com/app:1', digest: manifestDigest, from: 'record' },
          { name: 'example.com/app:2', digest: manifestDigest, from: 'record' },
        ],
        lostImages: [],
        blobs: 3,
        damagedBlobs: [],
        snapshots: 2,
        lostSnapshots: [{ path: join(root, 'snapshots/3'), why: 'nothing says that it is complete' }],
      })
      const after = (await content()) as { snapshots: object[]; blobs: { digest: string; labels: object }[] }
      // What was in the making is set aside; what manifests keep of their own is written again.
      expect(after).toMatchObject({ ...before, snapshots: before.snapshots.slice(0, 2) })
      expect(after.snapshots).toHaveLength(2)
      const aside = rebuilt.setAside ?? ''
      const kept = join(aside, 'layercast.db')
      expect(existsSync(kept) && statSync(kept).isFile() ? digestOf(readFileSync(kept)) : undefined).toBe(lay)
      expect([what, readdirSync(join(aside, 'snapshots/3/fs'))]).toEqual([what, ['half']])
      expect(await rebuildRoot({ root })).toMatchObject({ whole: true })

      // And the root is one to go on with.
      const backend = await openEmbedded({ root })
      const snapshotter = backend.snapshotter('overlayfs')
      await snapshotter.prepare('more', 'b', {})
      await snapshotter.commit('c', 'more', {})
      await backend.close()
      expect(faults(root)).toEqual([])
    },
  )

  test('takes nothing for right that is not: a changed blob, a layer without its parent, an image without its manifest', async () => {
    writeFileSync(join(root, 'blobs', layerDigest.replace(':', '/')), 'other')
    rmSync(join(root, 'snapshots/1'), { recursive: true })
    rmSync(join(root, 'blobs', manifestDigest.replace(':', '/')))
    writeFileSync(join(root, 'records/images/broken.json'), '{"schema":"layercast.im')
    rmSync(database())
    const rebuilt = await rebuildRoot({ root })
    expect(rebuilt).toMatchObject({
      images: [],
      lostImages: [{ name: 'example.com/app:1' }, { name: 'example.com/app:2' }],
      blobs: 1,
      damagedBlobs: [layerDigest],
      snapshots: 0,
    })
    expect(rebuilt.lostSnapshots.map(({ name, why }) => [name, why])).toEqual([
      [undefined, 'nothing says that it is complete'],
      ['b', 'what it stands on is gone'],
    ])
    const aside = rebuilt.setAside ?? ''
    expect(readFileSync(join(aside, 'blobs', layerDigest.replace(':', '/')), 'utf8')).toBe('other')
    expect(existsSync(join(aside, 'snapshots/2/snapshot.json'))).toBe(true)
    expect(readdirSync(join(aside, 'records/images'))).toHaveLength(3)
    expect(readdirSync(join(aside, 'records/blobs'))).toHaveLength(1)
    // Nothing says any more that a chain is there.
    const after = (await content()) as { blobs: { labels: object }[] }
    expect(after.blobs.map(({ labels }) => labels)).toEqual([{}])
  })

  test('without any record finds the images by the old database where it can be read, and by their manifests', async () => {
    rmSync(join(root, 'records'), { recursive: true })
    statement('drop table leases')
    expect(await rebuildRoot({ root, dryRun: true })).toMatchObject({
      images: [
        { name: 'example.com/app:1', from: 'database' },
        { name: 'example.com/app:2', from: 'database' },
      ],
    })
    rmSync(database())
    const name = `localhost/recovered:${manifestDigest.replace(':', '-')}`
    expect(await rebuildRoot({ root })).toMatchObject({
      images: [{ name, digest: manifestDigest, from: 'manifest' }],
      blobs: 3,
    })
    const after = (await content()) as { blobs: { digest: string; labels: Record<string, string> }[] }
    const manifest = after.blobs.find(({ digest }) => digest === manifestDigest)
    expect(manifest?.labels).toMatchObject({ 'containerd.io/gc.ref.content.l.0': layerDigest })
  })

  test('that was killed after the old database went aside is taken up by the next', async () => {
    mkdirSync(join(root, 'set-aside/then'), { recursive: true })
    const { renameSync } = await import('node:fs')
    renameSync(database(), join(root, 'set-aside/then/layercast.db'))
    expect(await rebuildRoot({ root })).toMatchObject({ snapshots: 2, blobs: 3 })
    expect(existsSync(join(root, 'set-aside/then/layercast.db'))).toBe(true)
  })

  test('that was killed at any of its steps is taken up by the next, and loses nothing', async () => {
    const index = JSON.stringify(join(import.meta.dirname, '../../../functions/node/embedded/rebuild/rebuild.ts'))
    const before = (await content()) as { snapshots: object[] }
    truncateSync(database(), 0)
    const pristine = `${root}-pristine`
    cpSync(root, pristine, { recursive: true })
    let killed = 0
    for (let at = 1; ; at++) {
      const script = `
        import fs from 'node:fs'
        import { syncBuiltinESMExports } from 'node:module'
        let steps = 0
        for (const name of ['mkdirSync', 'renameSync', 'linkSync', 'writeSync', 'rmSync']) {
          const original = fs[name]
          fs[name] = (...values) => {
            if (++steps === ${at}) process.kill(process.pid, 'SIGKILL')
            return original(...values)
          }
        }
        syncBuiltinESMExports()
        const { rebuildRoot } = await import(${index})
        await rebuildRoot({ root: ${JSON.stringify(root)} })
      `
      const { signal, status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script])
      expect([signal ?? status, stderr.toString()]).toEqual([signal ?? 0, ''])
      if (signal === null) break
      killed++
      await rebuildRoot({ root })
      expect(await content(), `killed at step ${at}`).toMatchObject({
        ...before,
        snapshots: before.snapshots.slice(0, 2),
      })
      rmSync(root, { recursive: true })
      cpSync(pristine, root, { recursive: true })
    }
    expect(killed).toBeGreaterThan(6)
  }, 60_000)

  test('is told of by those who have the old one open, and nothing of theirs gets lost', async () => {
    const other = await openEmbedded({ root })
    await other.leases.create()
    truncateSync(database(), 0)
    await rebuildRoot({ root })
    await expect(
      other.images.put('example.com/late:1', { mediaType: 'a/b', digest: layerDigest, size: 5 }),
    ).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
    })
    await other.close()
    expect(await content()).toMatchObject({ snapshots: [{ name: 'a' }, { name: 'b' }] })
  })

  test('makes nothing of what is not there, and refuses what is not ours', async () => {
    const nowhere = join(base, 'nowhere')
    await expect(rebuildRoot({ root: nowhere })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(existsSync(nowhere)).toBe(false)
    const foreign = join(base, 'foreign')
    mkdirSync(foreign)
    writeFileSync(join(foreign, 'layercast.db'), '')
    await expect(rebuildRoot({ root: foreign })).rejects.toMatchObject({ code: 'ROOT_FOREIGN' })
    expect(readdirSync(foreign)).toEqual(['layercast.db'])
  })
})
