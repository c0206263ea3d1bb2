/** Layers that containerd's diff service writes wrong: who is asked to write them, and what is said where it is containerd. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { repairChain } from '../../../functions/runner/repair/repair.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { compareTree } from '../../../functions/runner/verify/compare-tree.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers, removeChain, store } from '../../runner/unpack/support/stores.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { dir, file, hardlink, symlink, whiteout, type TarEntry } from '../../support/images/entries.ts'
import { buildImage, type BuiltImage } from '../../support/images/image.ts'
import { errorOf, LAUNCHER, layercast, type Ran } from '../../support/layercast.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

const of = { mode: 0o750, uid: 5, gid: 6, mtime: 1_600_000_000 }

interface Case {
  layers: TarEntry[][]
  /** The snapshotters under which containerd writes another tree. */
  wrong?: readonly string[]
  /** Those under which it writes none. */
  refused?: readonly string[]
}
const CASES: Record<string, Case> = {
  'a file through a link of a layer below': {
    layers: [
      [dir('usr', of), dir('usr/lib', of), file('usr/lib/old', 'old'), symlink('lib', 'usr/lib')],
      [dir('etc', of), file('etc/between', '')],
      [file('lib/x.so', 'through the link')],
    ],
    wrong: ['overlayfs'],
  },
  'a directory named only after a file that went through a link of its name': {
    layers: [
      [dir('usr', of), dir('usr/lib', of), file('usr/lib/old', 'old'), symlink('lib', 'usr/lib')],
      [dir('etc', of), file('etc/between', '')],
      [file('lib/c', 'through the link'), dir('lib', of), file('lib/d', 'in the directory')],
    ],
    wrong: ['overlayfs'],
  },
  'a whiteout through a link of a layer below': {
    layers: [
      [dir('usr', of), dir('usr/lib', of), file('usr/lib/x', 'gone'), symlink('lib', 'usr/lib')],
      [whiteout('lib/x'), file('new', '')],
    ],
    wrong: ['overlayfs'],
  },
  'a hard link to a file of a layer below': {
    layers: [
      [dir('data', of), file('data/a', 'below', of)],
      [dir('data', of), hardlink('data/c', 'data/a', of)],
    ],
    refused: ['overlayfs'],
  },
  'an opaque root': {
    layers: [
      [file('a', ''), dir('d', of), file('d/x', '')],
      [file('.wh..wh..opq'), file('c', '')],
    ],
    wrong: ['overlayfs'],
  },
  'a whiteout within a deleted directory': {
    layers: [
      [dir('test', of), file('test/x', ''), dir('test/sub', of), file('test/sub/y', ''), file('keep', '')],
      [whiteout('test'), whiteout('test/x'), whiteout('test/sub/y')],
    ],
    wrong: ['native'],
    refused: ['overlayfs'],
  },
  'a directory that comes again without its attributes': {
    layers: [
      [dir('dir', { ...of, xattrs: { 'user.old': 'x' } }), file('dir/low', '', { xattrs: { 'user.note': '1' } })],
      [dir('dir', of), file('dir/up', '')],
    ],
    wrong: ['native'],
  },
}

await describeContainerd('trees as layers describe them', (version) => {
  let containerd: TestContainerd
  let backend: ContainerdBackend

  beforeAll(async () => {
    containerd = await startContainerd({ version })
    backend = await containerd.connect()
  })
  afterAll(() => containerd?.stop())

  const right = async (image: BuiltImage, snapshotter: string): Promise<void> => {
    const { plan } = planOf(image, { snapshotter })
    const tree = await compareTree({ backend, plan, contents: true })
    expect(tree).toMatchObject({ ok: true, notCompared: [], differences: [], unsure: [] })
    expect(await leftovers(backend, snapshotter)).toEqual([])
  }
  const bring = async (title: string): Promise<BuiltImage> => {
    const image = buildImage({ layers: CASES[title]?.layers ?? [] })
    await store(backend, image)
    return image
  }

  // 1.x has no erofs, and no version has without its tool.
  const hasErofs = hasMkfsErofs && version.startsWith('2.')

  describe.each(['overlayfs', 'native', ...(hasErofs ? ['erofs'] : [])])('under %s', (snapshotter) => {
    test.each(Object.keys(CASES))('%s: right where no applier is asked for', async (title) => {
      const image = await bring(title)
      const planned = planOf(image, { snapshotter })
      for (const sequential of [true, false]) {
        const { warnings } = await unpack({ backend, planned, sequential })
        expect(warnings).toEqual([])
        await right(image, snapshotter)
        await removeChain(backend, image, snapshotter)
      }
    })
  })

  describe.each(['overlayfs', 'native'])('under %s', (snapshotter) => {
    test.each(Object.keys(CASES))("%s: what containerd's applier writes is told, found, and mended", async (title) => {
      const image = await bring(title)
      const planned = planOf(image, { snapshotter })
      const { wrong = [], refused = [] } = CASES[title] ?? {}
      const isWrong = wrong.includes(snapshotter)
      const isRefused = refused.includes(snapshotter)
      for (const sequential of [true, false]) {
        const outcome = await unpack({ backend, planned, sequential, applier: 'containerd' }).then(
          ({ warnings }) => warnings.map(({ code }) => code),
          ({ code, fix }: { code: string; fix: string }) => [code, /--applier own/.test(fix)],
        )
        expect(outcome).toEqual(isRefused ? ['LAYER_UNSUPPORTED', true] : isWrong ? ['TREE_WRONG'] : [])
        expect(await leftovers(backend, snapshotter)).toEqual([])
        const tree = await compareTree({ backend, plan: planned.plan, contents: true })
        expect([tree.ok, tree.notCompared.length > 0]).toEqual([isRefused || !isWrong, isRefused])
        expect(await repairChain({ backend, planned, deep: true, contents: true })).toMatchObject({ ok: true })
        await right(image, snapshotter)
        await removeChain(backend, image, snapshotter)
      }
    })
  })

  test('where it cannot be told whether containerd wrote a layer right, that is told', async () => {
    const layers = [[dir('usr', of), symlink('lib', 'usr')], [file('lib/x', '')]]
    const lower = buildImage({ layers: layers.slice(0, 1) })
    await store(backend, lower, 'example.com/lower:1')
    await unpack({ backend, planned: planOf(lower, { snapshotter: 'native', reference: 'example.com/lower:1' }) })
    const image = buildImage({ layers })
    await store(backend, image)
    const [base] = image.layers
    if (base === undefined) throw new Error('no layer')
    await backend.content.remove(base.digest)
    const { warnings } = await unpack({
      backend,
      planned: planOf(image, { snapshotter: 'native' }),
      applier: 'containerd',
    })
    expect(warnings).toMatchObject([{ code: 'TREE_UNCHECKED', detail: expect.stringContaining(base.digest) as string }])
    await removeChain(backend, lower, 'native')
    await removeChain(backend, image, 'native')
  })

  test('a chain that containerd itself made is found and mended by the verbs', async () => {
    const image = await bring('a file through a link of a layer below')
    const { name } = await containerd.importImage(image, 'example.com/usrmerge', { snapshotter: 'overlayfs' })
    expect((await containerd.layercast('verify', name, '-s', 'overlayfs', '--deep')).status).toBe(5)
    expect((await containerd.layercast('repair', name, '-s', 'overlayfs', '--deep')).status).toBe(0)
    expect((await containerd.layercast('verify', name, '-s', 'overlayfs', '--deep', '--contents')).status).toBe(0)
    await removeChain(backend, image, 'overlayfs')
  })

  test('where the snapshots cannot be seen containerd writes them, and what is wrong of it is told', async () => {
    const launcher = join(containerd.files, 'elsewhere.sh')
    const hidden = `mount -t tmpfs none ${join(containerd.directory, 'root')}`
    await writeFile(launcher, `#!/bin/sh\nexec unshare --mount sh -c '${hidden}; exec ${LAUNCHER} "$@"' sh "$@"\n`, {
      mode: 0o755,
    })
    const from = (...args: string[]): Promise<Ran> => layercast(args, { env: containerd.env, launcher })
    const through = await bring('a file through a link of a layer below')
    await store(backend, through, 'example.com/through:1')
    const told = await from('unpack', 'example.com/through:1', '-s', 'overlayfs', '-o', 'json')
    expect(told.status).toBe(0)
    const { warnings } = JSON.parse(told.stdout.toString()) as { warnings: { code: string; detail: string }[] }
    expect(warnings).toMatchObject([
      { code: 'TREE_WRONG', detail: expect.stringMatching(/layer 3 .*lib\/x\.so.*repair --deep/) as string },
    ])
    await removeChain(backend, through, 'overlayfs')

    const linked = await bring('a hard link to a file of a layer below')
    await store(backend, linked, 'example.com/linked:1')
    const refused = await from('unpack', 'example.com/linked:1', '-s', 'overlayfs', '-o', 'json')
    expect([refused.status, errorOf(refused).code]).toEqual([2, 'LAYER_UNSUPPORTED'])
    expect(errorOf(refused).fix).toMatch(/--applier own/)
    expect(await leftovers(backend, 'overlayfs')).toEqual([])
    await removeChain(backend, linked, 'overlayfs')
  })
})
