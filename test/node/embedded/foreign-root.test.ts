import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { all } from '../../support/all.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { make, makeBase } from './root.ts'
import { wholeTree } from './whole-tree.ts'

const base = makeBase()
afterAll(() => rmSync(base, { recursive: true, force: true }))

let count = 0
const place = (): string => {
  const root = join(base, `root-${++count}`)
  mkdirSync(root)
  return root
}

describe('a directory that holds something and is not layercast', () => {
  test.each<[string, (root: string) => Promise<void> | void]>([
    ['an OCI layout', (root) => writeOciLayout(smallImage('foreign'), root)],
    ['a file', (root) => writeFileSync(join(root, 'thesis.txt'), 'x')],
    [
      'a directory of the name of one of ours, with a file',
      (root) => {
        mkdirSync(join(root, 'snapshots/2026'), { recursive: true })
        writeFileSync(join(root, 'snapshots/2026/photo'), 'x')
      },
    ],
    ['one of ours, with a directory in it', (root) => mkdirSync(join(root, 'snapshots/1'), { recursive: true })],
    [
      'files in ingest',
      (root) => {
        mkdirSync(join(root, 'ingest'))
        writeFileSync(join(root, 'ingest/data.csv'), 'x')
      },
    ],
    [
      "another program's database of our name",
      (root) => {
        const db = new DatabaseSync(join(root, 'layercast.db'))
        db.exec('create table notes (text)')
        db.close()
      },
    ],
    ['a mark with another content', (root) => writeFileSync(join(root, 'layercast-root'), 'mine')],
    ['a link of the name of the mark', (root) => symlinkSync('/etc/hostname', join(root, 'layercast-root'))],
  ])('is refused, and nothing in it changes: %s', async (_, fill) => {
    const root = place()
    await fill(root)
    const before = wholeTree(root)
    await expect(openEmbedded({ root })).rejects.toMatchObject({ code: 'ROOT_FOREIGN', exit: 2 })
    expect(wholeTree(root)).toEqual(before)
  })

  test('is refused at the first change too, where it was empty when it was opened', async () => {
    const root = place()
    const backend = await openEmbedded({ root })
    writeFileSync(join(root, 'thesis.txt'), 'x')
    await expect(backend.leases.create()).rejects.toMatchObject({ code: 'ROOT_FOREIGN' })
    await backend.close()
    expect(readdirSync(root)).toEqual(['thesis.txt'])
  })
})

describe("a root of layercast's", () => {
  test('of before there were marks goes on working, is marked by the first change and by nothing else', async () => {
    const root = place()
    await make(root)
    unlinkSync(join(root, 'layercast-root'))
    rmSync(join(root, 'records'), { recursive: true })
    const db = new DatabaseSync(join(root, 'layercast.db'))
    db.exec('pragma application_id = 0')
    db.exec(
      `insert into images values ('example.com/old:1', '${JSON.stringify({ mediaType: 'a/b', digest: `sha256:${'0'.repeat(64)}`, size: 1 })}', '{}', 1, 1)`,
    )
    db.close()
    const backend = await openEmbedded({ root })
    expect((await all(backend.images.list())).map(({ name }) => name)).toEqual(['example.com/old:1'])
    expect(readdirSync(root)).not.toContain('layercast-root')
    await backend.leases.create()
    await backend.close()
    expect(readFileSync(join(root, 'layercast-root'), 'utf8')).toMatch(/^layercast\.root\/v1\n/)
    expect(readdirSync(join(root, 'records/images'))).toHaveLength(1)
  })

  test('loses nothing that layercast did not make, whatever its name, and nothing behind a link', async () => {
    const root = place()
    await make(root)
    const elsewhere = place()
    writeFileSync(join(elsewhere, 'a'.repeat(64)), 'x')
    mkdirSync(join(elsewhere, '0123456789abcdef'))
    writeFileSync(join(elsewhere, '0123456789abcdef/precious'), 'x')
    for (const path of [
      'snapshots/notes',
      'snapshots/007',
      'snapshots/77',
      'trash/old',
      'blobs/sha256/nested',
      'blobs/mine',
    ]) {
      mkdirSync(join(root, path), { recursive: true })
      writeFileSync(join(root, path, 'kept'), 'x')
    }
    for (const path of ['snapshots/5', 'ingest/readme.txt', 'blobs/sha256/short', 'blobs/readme']) {
      writeFileSync(join(root, path), 'x')
    }
    symlinkSync(elsewhere, join(root, 'blobs/sha512'))
    symlinkSync(elsewhere, join(root, 'snapshots/6'))
    symlinkSync(join(elsewhere, '0123456789abcdef'), join(root, 'ingest/1.2.3.abcdefghijkl'))
    const mine = (): string[] =>
      Object.keys(wholeTree(root))
        .filter((path) => /^\/(?:snapshots|trash|blobs|ingest)\//.test(path))
        .sort()
    const before = mine()
    await make(root)
    expect(mine()).toEqual(before)
    expect(readdirSync(join(elsewhere, '0123456789abcdef'))).toEqual(['precious'])
  })

  test.each(['blobs', 'snapshots', 'trash', 'ingest'])('with a link in place of %s is not written to', async (name) => {
    const root = place()
    await make(root)
    const elsewhere = place()
    mkdirSync(join(elsewhere, 'sha256'))
    writeFileSync(join(elsewhere, 'sha256', 'a'.repeat(64)), 'x')
    rmSync(join(root, name), { recursive: true })
    symlinkSync(elsewhere, join(root, name))
    const before = wholeTree(elsewhere)
    const backend = await openEmbedded({ root })
    await expect(backend.leases.create()).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' })
    await backend.close()
    expect(wholeTree(elsewhere)).toEqual(before)
  })
})
