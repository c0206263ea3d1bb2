import {
  existsSync,
  linkSync,
  lstatSync,
  readFileSync,
  rmSync,
  writeFileSync,
  chownSync,
  chmodSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Mount } from '../../../functions/linux/mount-list.ts'
import { withMounted } from '../../../functions/linux/mounted.ts'
import type { Snapshotter } from '../../../functions/node/ports.ts'
import { freshBackend, type OpenBackend } from './subject.ts'

const MIB = 1 << 20

const inside = <T>(mounts: readonly Mount[], work: (root: string) => T): Promise<T> =>
  withMounted(mounts, async (root) => work(root))

const read = (root: string): Record<string, string | undefined> =>
  Object.fromEntries(
    ['kept', 'changed', 'deleted', 'added'].map((file) => {
      const path = join(root, file)
      return [file, existsSync(path) ? readFileSync(path, 'utf8') : undefined]
    }),
  )

/** What a snapshotter's mounts show. Mounts, so it needs root. */
export function snapshotContentConformance(open: OpenBackend, name: string): void {
  describe.skipIf(process.getuid?.() !== 0)(`the content of ${name} snapshots`, () => {
    const backend = freshBackend(open)
    const subject = (): Snapshotter => backend().snapshotter(name)

    const layer = async (committed: string, parent: string, change: (root: string) => void): Promise<void> => {
      const key = `key-${committed}`
      await inside(await subject().prepare(key, parent, {}), change)
      await subject().commit(committed, key, {})
    }

    test('is that of the layers below, with what each added, changed and deleted', async () => {
      await layer('one', '', (root) => {
        writeFileSync(join(root, 'kept'), 'one')
        writeFileSync(join(root, 'changed'), 'one')
        writeFileSync(join(root, 'deleted'), 'one')
      })
      await layer('two', 'one', (root) => {
        expect(readFileSync(join(root, 'deleted'), 'utf8')).toBe('one')
        writeFileSync(join(root, 'changed'), 'two')
        rmSync(join(root, 'deleted'))
      })
      await layer('three', 'two', (root) => writeFileSync(join(root, 'added'), 'three'))
      const all = { kept: 'one', changed: 'two', deleted: undefined, added: 'three' }
      expect(await inside(await subject().view('view-3', 'three', {}), read)).toEqual(all)
      expect(await inside(await subject().prepare('active-3', 'three', {}), read)).toEqual(all)
      expect(await inside(await subject().view('view-1', 'one', {}), read)).toEqual({
        kept: 'one',
        changed: 'one',
        deleted: 'one',
        added: undefined,
      })
    })

    test.each(['', 'one', 'two'])('cannot be written through a view of %j', async (parent) => {
      await layer('one', '', () => undefined)
      await layer('two', 'one', () => undefined)
      const mounts = await subject().view('view', parent, {})
      await inside(mounts, (root) => expect(() => writeFileSync(join(root, 'new'), '')).toThrow('EROFS'))
    })

    test('of an active snapshot is still there when it is mounted again', async () => {
      await inside(await subject().prepare('key', '', {}), (root) => writeFileSync(join(root, 'new'), '1'))
      await inside(await subject().mounts('key'), (root) => expect(existsSync(join(root, 'new'))).toBe(true))
    })

    test('of two active snapshots on one parent stays apart', async () => {
      await layer('base', '', (root) => writeFileSync(join(root, 'file'), 'base'))
      await inside(await subject().prepare('a', 'base', {}), (root) => writeFileSync(join(root, 'file'), 'a'))
      await inside(await subject().prepare('b', 'base', {}), (root) =>
        expect(readFileSync(join(root, 'file'), 'utf8')).toBe('base'),
      )
    })

    test('has the owner that the root directory was given below', async () => {
      await layer('base', '', (root) => chownSync(root, 1000, 1001))
      await inside(await subject().prepare('key', 'base', {}), (root) => {
        const { uid, gid } = statSync(root)
        expect([uid, gid]).toEqual([1000, 1001])
      })
    })

    test('keeps modes and hard links of what a layer below holds', async () => {
      await layer('one', '', (root) => {
        writeFileSync(join(root, 'file'), 'x')
        linkSync(join(root, 'file'), join(root, 'link'))
        chmodSync(join(root, 'file'), 0o4751)
      })
      await layer('two', 'one', (root) => writeFileSync(join(root, 'other'), ''))
      await inside(await subject().view('view', 'two', {}), (root) => {
        const [one, other] = [lstatSync(join(root, 'file')), lstatSync(join(root, 'link'))]
        expect([one.mode & 0o7777, one.nlink, one.ino === other.ino]).toEqual([0o4751, 2, true])
      })
    })

    test('counts, and an inode with two names counts once', async () => {
      const mounts = await subject().prepare('key', '', {})
      const before = await subject().usage('key')
      await inside(mounts, (root) => {
        // Random enough that no file system packs it.
        writeFileSync(join(root, 'file'), Buffer.from(Array.from({ length: MIB }, (_, n) => (n * n * 31) >> 7)))
        linkSync(join(root, 'file'), join(root, 'link'))
      })
      const after = await subject().usage('key')
      expect(after.inodes - before.inodes).toBe(1)
      expect(after.size - before.size).toBeGreaterThanOrEqual(MIB)
      expect(after.size - before.size).toBeLessThan(2 * MIB)
      await subject().commit('name', 'key', {})
      expect(await subject().usage('name')).toEqual(after)
    })

    test('of a chain longer than a page of mount options shows every layer', async () => {
      const depth = 90
      for (let n = 0; n < depth; n++) {
        await layer(`layer-${n}`, n === 0 ? '' : `layer-${n - 1}`, (root) => writeFileSync(join(root, `file-${n}`), ''))
      }
      await inside(await subject().view('view', `layer-${depth - 1}`, {}), (root) => {
        for (let n = 0; n < depth; n++) expect(existsSync(join(root, `file-${n}`))).toBe(true)
      })
    }, 120_000)
  })
}
