import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LayercastError } from '../../../functions/errors.ts'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import { createApplier } from '../../../functions/layer/apply/applier.ts'
import type { Applied, Applier } from '../../../functions/layer/apply/types.ts'
import { withMounted } from '../../../functions/linux/mounted.ts'
import type { Backend, Snapshotter } from '../../../functions/node/ports.ts'
import {
  device,
  dir,
  fifo,
  file,
  hardlink,
  opaque,
  symlink,
  whiteout,
  type TarEntry,
} from '../../support/images/entries.ts'
import { buildImage, digestOf, type Compression } from '../../support/images/image.ts'
import { writeTar } from '../../support/images/tar.ts'
import { BROKEN } from './broken-layers.ts'
import { codeOf, freshBackend, type OpenBackend } from './subject.ts'

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}

/** What is at a path, in one line. */
function look(root: string, path: string): string {
  const at = join(root, path)
  const stat = lstatSync(at, { throwIfNoEntry: false })
  if (stat === undefined) return 'nothing'
  const mode = (stat.mode & 0o7777).toString(8)
  if (stat.isSymbolicLink()) return `link to ${readlinkSync(at)}`
  if (stat.isDirectory()) return `directory ${mode}: ${readdirSync(at).sort().join(' ')}`
  if (stat.isFile()) return `file ${mode}: ${readFileSync(at, 'utf8')}`
  if (stat.isFIFO()) return `fifo ${mode}`
  return `${stat.isCharacterDevice() ? 'char' : 'block'} ${mode}: ${stat.rdev >> 8},${stat.rdev & 0xff}`
}

/** layercast's own applier, as an unpack makes it. */
export const own = ({ content }: Backend): Applier => createApplier({ read: ({ digest }) => content.read(digest) })

export interface ApplierConformance {
  /** layercast's applier over the backend's content store, or the daemon's. */
  choose: (backend: Backend) => Applier
  /**
   * What this applier is known not to do. containerd's writes an overlay's layer without the ones below, where there is
   * nothing to link to, and before 2.0 it knows zstd by OCI's media type alone.
   */
  lacks?: readonly ('links to lower layers' | 'docker zstd')[]
}

/** What every applier does with the layers of an image, one on top of the other. Mounts, so it needs root. */
export function applierConformance(open: OpenBackend, name: string, options: ApplierConformance): void {
  const { choose, lacks = [] } = options
  describe.skipIf(process.getuid?.() !== 0)(`the applier over ${name}`, () => {
    const backend = freshBackend(open)
    const snapshotter = (): Snapshotter => backend().snapshotter(name)

    const store = async (layer: Descriptor, data: Uint8Array): Promise<void> =>
      backend().content.write(layer, once(data))

    /** Applies a layer to a new snapshot, and commits that under the number. */
    const applyLayer = async (n: number, layer: Descriptor): Promise<Applied> => {
      const mounts = await snapshotter().prepare(`key-${n}`, n === 0 ? '' : `layer-${n - 1}`, {})
      const applied = await choose(backend()).apply(layer, mounts)
      await snapshotter().commit(`layer-${n}`, `key-${n}`, {})
      return applied
    }

    /** Applies all layers, and gives what the work says of the tree that they come to. */
    const unpack = async <T>(
      layers: TarEntry[][],
      work: (root: string) => T,
      compression: Compression = 'gzip',
    ): Promise<T> => {
      const image = buildImage({ layers, compression })
      for (const [n, layer] of image.layers.entries()) {
        await store(layer, image.blobs.get(layer.digest) ?? new Uint8Array())
        expect(await applyLayer(n, layer)).toMatchObject({ diffID: image.diffIDs[n], size: image.tars[n]?.length })
      }
      const mounts = await snapshotter().view('view', `layer-${layers.length - 1}`, {})
      return withMounted(mounts, async (root) => work(root))
    }

    test.each(['none', 'gzip', 'zstd'] as const)(
      'says the diff ID and the size of a layer: %s',
      async (compression) => {
        const entries = [dir('etc'), file('etc/big', 'x'.repeat(3_000_000)), file('etc/small', 'y')]
        const seen = await unpack([entries], (root) => [look(root, 'etc'), look(root, 'etc/small')], compression)
        expect(seen).toEqual(['directory 755: big small', 'file 644: y'])
      },
    )

    test.for(['none', 'gzip', 'zstd'] as const)('knows docker media types: %s', async (compression, { skip }) => {
      skip(compression === 'zstd' && lacks.includes('docker zstd'), 'this applier does not know it')
      const image = buildImage({ layers: [[file('a', '1')]], compression, mediaTypes: 'docker' })
      const [layer] = image.layers
      if (layer === undefined) throw new Error('no layer')
      await store(layer, image.blobs.get(layer.digest) ?? new Uint8Array())
      expect(await applyLayer(0, layer)).toMatchObject({ diffID: image.diffIDs[0], size: image.tars[0]?.length })
    })

    test('counts what stands after the end of the archive into the diff ID', async () => {
      const padded = Buffer.concat([writeTar([file('a', '1')]), new Uint8Array(10_240)])
      const image = buildImage({ layers: [padded] })
      const [layer] = image.layers
      if (layer === undefined) throw new Error('no layer')
      await store(layer, image.blobs.get(layer.digest) ?? new Uint8Array())
      expect(await applyLayer(0, layer)).toMatchObject({ diffID: digestOf(padded), size: padded.length })
    })

    test('makes every kind of file, with its mode, owner, time and attributes', async () => {
      const ofFile = { mode: 0o4751, uid: 1000, gid: 1001, mtime: 1_600_000_000 }
      const entries = [
        dir('d', { mode: 0o1711, uid: 5, gid: 6, mtime: 1_500_000_000 }),
        file('d/file', 'content', ofFile),
        // Every name of a file says what the file is like.
        hardlink('d/hard', 'd/file', ofFile),
        symlink('d/soft', '../nowhere', { uid: 7, gid: 8 }),
        device('d/null', 'char', 1, 3, { mode: 0o666 }),
        device('d/loop', 'block', 7, 0, { mode: 0o660 }),
        fifo('d/pipe', { mode: 0o600 }),
        file(`d/${'long'.repeat(40)}`, 'long'),
        file('d/grüße', 'utf-8'),
      ]
      await unpack([entries], (root) => {
        expect(look(root, 'd/file')).toBe('file 4751: content')
        expect(look(root, 'd/soft')).toBe('link to ../nowhere')
        expect(look(root, 'd/null')).toBe('char 666: 1,3')
        expect(look(root, 'd/loop')).toBe('block 660: 7,0')
        expect(look(root, 'd/pipe')).toBe('fifo 600')
        expect(look(root, `d/${'long'.repeat(40)}`)).toBe('file 644: long')
        expect(look(root, 'd/grüße')).toBe('file 644: utf-8')
        const [one, other, soft, parent] = ['file', 'hard', 'soft', '.'].map((path) => lstatSync(join(root, 'd', path)))
        expect([one?.ino, one?.nlink, one?.uid, one?.gid, one?.mtimeMs]).toEqual([
          other?.ino,
          2,
          1000,
          1001,
          1_600_000_000_000,
        ])
        expect([soft?.uid, soft?.gid]).toEqual([7, 8])
        expect([parent && parent.mode & 0o7777, parent?.uid, parent?.gid]).toEqual([0o1711, 5, 6])
        // What is put into a directory afterwards does not change when it was last changed.
        expect(parent?.mtimeMs).toBe(1_500_000_000_000)
      })
    })

    test('makes the directories that a layer leaves out', async () => {
      const seen = await unpack([[file('a/b/c/file', 'x')]], (root) => look(root, 'a/b/c/file'))
      expect(seen).toBe('file 644: x')
    })

    test('takes away what an upper layer has whiteouts for, and leaves no whiteout to be seen', async () => {
      const lower = [
        dir('etc'),
        file('etc/gone', '1'),
        file('etc/kept', '1'),
        dir('tree'),
        dir('tree/deep'),
        file('tree/deep/file'),
        file('top', '1'),
        file('again', 'old'),
      ]
      const upper = [
        whiteout('etc/gone'),
        whiteout('tree'),
        whiteout('top'),
        whiteout('never-there'),
        whiteout('again'),
      ]
      await unpack([lower, upper, [file('again', 'new')]], (root) => {
        expect(look(root, 'etc')).toBe('directory 755: kept')
        expect(look(root, 'tree')).toBe('nothing')
        expect(look(root, 'again')).toBe('file 644: new')
        expect(readdirSync(root).sort()).toEqual(['again', 'etc'])
      })
    })

    test('hides what is below an opaque directory, and nothing of its own layer', async () => {
      const lower = [dir('d'), file('d/lower', '1'), dir('d/sub'), file('d/sub/lower', '1'), file('beside', '1')]
      await unpack([lower, [dir('d'), file('d/before', '2'), opaque('d'), file('d/after', '2')]], (root) => {
        expect(look(root, 'd')).toBe('directory 755: after before')
        expect(look(root, 'beside')).toBe('file 644: 1')
      })
    })

    test('replaces what is there by what comes, whatever the kinds', async () => {
      const lower = [
        file('f', 'old'),
        dir('d'),
        file('d/inside'),
        symlink('l', 'f'),
        file('same', 'old', { mode: 0o600 }),
      ]
      const upper = [
        dir('f'),
        file('f/new', '2'),
        file('d', 'file now'),
        dir('l'),
        file('same', 'new', { mode: 0o755 }),
      ]
      await unpack([lower, upper], (root) => {
        expect(look(root, 'f')).toBe('directory 755: new')
        expect(look(root, 'd')).toBe('file 644: file now')
        expect(look(root, 'l')).toBe('directory 755: ')
        expect(look(root, 'same')).toBe('file 755: new')
      })
    })

    test('keeps the content of a directory that comes again with another mode', async () => {
      await unpack([[dir('d'), file('d/inside', '1')], [dir('d', { mode: 0o700, uid: 9 })]], (root) => {
        expect(look(root, 'd')).toBe('directory 700: inside')
        expect(lstatSync(join(root, 'd')).uid).toBe(9)
      })
    })

    test.skipIf(lacks.includes('links to lower layers'))('links to a file of a layer below', async () => {
      await unpack([[file('a', 'lower')], [hardlink('b', 'a')]], (root) =>
        expect(look(root, 'b')).toBe('file 644: lower'),
      )
    })

    describe('given a hostile layer', () => {
      let outside = ''
      beforeEach(() => {
        outside = mkdtempSync(join(tmpdir(), 'layercast-outside-'))
      })
      afterEach(() => rmSync(outside, { recursive: true, force: true }))

      const attacks: [string, (target: string) => TarEntry[][]][] = [
        ['an absolute name', (target) => [[file(`${target}/x`, 'pwned')]]],
        ['a name that climbs', (target) => [[file(`../../../../../../../..${target}/x`, 'pwned')]]],
        ['a link and a file through it', (target) => [[symlink('l', target), file('l/x', 'pwned')]]],
        ['a link in the layer below', (target) => [[symlink('l', target)], [file('l/x', 'pwned')]]],
        ['a climbing link', (target) => [[symlink('l', `../../../../../../..${target}`), file('l/x', 'pwned')]]],
        ['a link to a link', (target) => [[symlink('m', target), symlink('l', 'm'), file('l/x', 'pwned')]]],
        ['a hard link out', (target) => [[hardlink('h', `${target}/secret`), file('h', 'pwned')]]],
        ['a whiteout through a link', (target) => [[symlink('l', target)], [whiteout('l/secret')]]],
        ['an opaque directory through a link', (target) => [[symlink('l', target)], [opaque('l')]]],
      ]
      test.each(attacks)('with %s stays within the snapshot', async (_, layersFor) => {
        const secret = join(outside, 'secret')
        writeFileSync(secret, 'secret')
        // Refused or led into the snapshot: either will do.
        const outcome = await unpack(layersFor(outside), () => 'applied').catch((error: unknown) => error)
        expect(outcome === 'applied' || outcome instanceof LayercastError).toBe(true)
        expect(readdirSync(outside)).toEqual(['secret'])
        expect(readFileSync(secret, 'utf8')).toBe('secret')
        expect(lstatSync(secret).nlink).toBe(1)
      })
    })

    test('says which blob is not there', async () => {
      const layer = buildImage({ layers: [[file('a')]] }).layers[0]
      if (layer === undefined) throw new Error('no layer')
      const mounts = await snapshotter().prepare('key', '', {})
      expect(await codeOf(choose(backend()).apply(layer, mounts))).toBe('BLOB_NOT_FOUND')
      await snapshotter().remove('key')
    })

    test.each(BROKEN)(
      'refuses $title, says so, and leaves the snapshot to be removed',
      async ({ layer, blob, code }) => {
        await store(layer, blob)
        const mounts = await snapshotter().prepare('key', '', {})
        await expect(choose(backend()).apply(layer, mounts)).rejects.toMatchObject({
          code,
          message: expect.stringContaining(layer.digest) as string,
          fix: expect.any(String) as string,
        })
        await snapshotter().remove('key')
      },
    )

    test('leaves nothing mounted', async () => {
      await unpack([[file('a', '1')], [file('b', '2')]], (root) => expect(existsSync(join(root, 'b'))).toBe(true))
      const [mount] = await snapshotter().mounts('view')
      const paths = [mount?.source ?? '', ...(mount?.options ?? [])].flatMap((text) => text.match(/\/[^:,]+/g) ?? [])
      expect(paths.length).toBeGreaterThan(0)
      const table = readFileSync('/proc/self/mountinfo', 'utf8')
      expect(paths.filter((path) => table.includes(path))).toEqual([])
    })
  })
}
