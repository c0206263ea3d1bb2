import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { UnpackOptions } from '../../../functions/runner/unpack/types.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { compareTree } from '../../../functions/runner/verify/compare-tree.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { failure } from '../../runner/unpack/support/failure.ts'
import { withWrongDiffID } from '../../runner/unpack/support/images.ts'
import { intercept } from '../../runner/unpack/support/intercept.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers, removeChain, snapshotNames, store } from '../../runner/unpack/support/stores.ts'
import { treeOf } from '../../runner/unpack/support/tree.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { isAtLeast } from '../../support/containerd/versions.ts'
import { dir, file, hardlink, opaque, symlink, whiteout, type TarEntry } from '../../support/images/entries.ts'
import { buildImage, type BuiltImage } from '../../support/images/image.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

const of = { mode: 0o750, uid: 5, gid: 6, mtime: 1_600_000_000 }

/** Layers that name every directory that they have, as most builders write them. */
const POLITE: TarEntry[][] = [
  [
    dir('data', of),
    file('data/kept', 'kept', of),
    file('data/deleted', 'deleted above'),
    file('data/replaced', 'old'),
    dir('hidden'),
    file('hidden/old', 'under an opaque directory'),
    dir('tree'),
    dir('tree/inner'),
    file('tree/inner/file', 'deleted with its tree'),
    file('turned', 'a file that becomes a directory'),
    dir('link-to-be'),
    file('link-to-be/inside', ''),
  ],
  [dir('data', of), whiteout('data/deleted'), file('data/new', 'new'), whiteout('tree')],
  [dir('hidden', of), opaque('hidden'), file('hidden/new', 'in its place'), dir('turned'), file('turned/in', '')],
  [dir('data', of), file('data/replaced', 'replaced', { mode: 0o4755 }), hardlink('data/hard', 'data/replaced')],
  [dir('tree', of), file('tree/again', 'in the place of the deleted one'), symlink('link-to-be', 'data')],
  [dir('data', { ...of, mode: 0o700 }), file('data/deleted', 'and back again', of)],
]
/** Layers that cannot be right by themselves, each with one that can be in between. */
const IMPOLITE: Record<string, TarEntry[][]> = {
  'a directory that only the layer below describes': [
    [dir('data', of), file('data/a', ''), dir('data/sub', of), file('data/sub/x', '')],
    [file('data/sub/y', '')],
    [dir('data', of), file('data/b', '')],
    [whiteout('data/sub/x')],
  ],
  'a path through a symbolic link of the layer below': [
    [dir('usr', of), dir('usr/lib', of), symlink('lib', 'usr/lib')],
    [dir('usr', of), file('usr/a', '')],
    [file('lib/z', 'through the link')],
  ],
  'a hard link to a file of the layer below': [
    [dir('data', of), file('data/a', 'of the layer below', of)],
    [dir('data', of), file('data/b', '')],
    [dir('data', of), hardlink('data/c', 'data/a', of)],
  ],
  'an opaque root': [
    [file('a', ''), dir('d', of), file('d/x', '')],
    [file('b', '')],
    [file('.wh..wh..opq'), file('c', '')],
  ],
}

/** Without the times of directories: containerd's applier leaves those of the present to the ones that it adds to. */
const untimed = (tree: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(tree).map(([path, facts]) => [path, facts.replace(/^(4\d{4} \d+ \d+ ).*$/, '$1')]))

await describeContainerd('layers in parallel', (version) => {
  const rebases = isAtLeast(version, '2.2')
  const snapshotters = ['overlayfs', ...(rebases && hasMkfsErofs ? ['erofs'] : [])]
  let containerd: TestContainerd
  let backend: ContainerdBackend

  beforeAll(async () => {
    containerd = await startContainerd({ version })
    backend = await containerd.connect()
  })
  afterAll(() => containerd?.stop())

  /** Unpacks, and tells how many layers were put onto their parents at their Commit, and the tree that they come to. */
  async function make(
    image: BuiltImage,
    snapshotter: string,
    options: Partial<UnpackOptions>,
  ): Promise<{ rebased: number; tree: Record<string, string> }> {
    let rebased = 0
    const watched = intercept(backend, (call, goOn) => {
      if (call.name === 'snapshotter.commit' && Object.hasOwn(call.args[3] ?? {}, 'parent')) rebased++
      return goOn()
    })
    const planned = planOf(image, { snapshotter })
    await unpack({ backend: watched, planned, ...options })
    expect(await verifyChain({ backend, plan: planned.plan })).toMatchObject({ ok: true })
    expect(await leftovers(backend, snapshotter)).toEqual([])
    const tree = await treeOf(backend, snapshotter, image.chainIDs.at(-1) ?? '')
    return { rebased, tree }
  }

  describe.each(snapshotters)('%s', (snapshotter) => {
    // 2.2's diff service writes no erofs layer on top of another one.
    const appliers =
      snapshotter === 'erofs' && version === '2.2' ? (['own'] as const) : (['containerd', 'own'] as const)

    describe.each(appliers)('applier %s', (applier) => {
      const clean = (tree: Record<string, string>) => (applier === 'own' ? tree : untimed(tree))

      test('the tree is the same as one after the other, whiteouts and all', async () => {
        const image = buildImage({ layers: POLITE })
        await store(backend, image)
        const one = await make(image, snapshotter, { applier, sequential: true })
        expect(one.rebased).toBe(0)
        await removeChain(backend, image, snapshotter)
        expect(await snapshotNames(backend, snapshotter)).toEqual([])
        const side = await make(image, snapshotter, { applier })
        expect(side.rebased).toBe(rebases ? image.layers.length - 1 : 0)
        expect(clean(side.tree)).toEqual(clean(one.tree))
        const { plan } = planOf(image, { snapshotter })
        expect(await compareTree({ backend, plan, contents: true })).toMatchObject({ ok: true, notCompared: [] })
        await removeChain(backend, image, snapshotter)
      })

      test.each(Object.keys(IMPOLITE))('%s: that layer is made on top of the other', async (title) => {
        const image = buildImage({ layers: IMPOLITE[title] ?? [] })
        await store(backend, image)
        const attempt = (options: Partial<UnpackOptions>) =>
          make(image, snapshotter, { applier, ...options }).then(
            ({ tree, rebased }) => ({ tree: clean(tree), rebased }),
            (error: unknown) => ({ error: (error as { code: unknown }).code }),
          )
        // What an applier cannot do at all it cannot do in parallel either.
        const one = await attempt({ sequential: true })
        await removeChain(backend, image, snapshotter)
        const side = await attempt({})
        expect('tree' in side ? side.tree : side).toEqual('tree' in one ? one.tree : one)
        // containerd's applier hides nothing at an opaque root, in either mode.
        const alone = applier === 'containerd' && title === 'an opaque root' ? 1 : 0
        expect('rebased' in side ? side.rebased : 0).toBeLessThan(image.layers.length - 1 + alone)
        expect(await leftovers(backend, snapshotter)).toEqual([])
        await removeChain(backend, image, snapshotter)
      })

      test('a chain of which the lower layers are there is made whole', async () => {
        const image = buildImage({ layers: POLITE })
        await store(backend, image)
        const lower = buildImage({ layers: POLITE.slice(0, 2) })
        await store(backend, lower, 'example.com/lower:1')
        const options = { snapshotter, reference: 'example.com/lower:1' }
        await unpack({ backend, planned: planOf(lower, options), applier })
        const planned = planOf(image, { snapshotter })
        const result = await unpack({ backend, planned, applier })
        expect(result.layers.map(({ state }) => state)).toEqual([
          'exists',
          'exists',
          ...POLITE.slice(2).map(() => 'applied'),
        ])
        expect(await compareTree({ backend, plan: planned.plan, contents: true })).toMatchObject({ ok: true })
        await removeChain(backend, lower, snapshotter)
        await removeChain(backend, image, snapshotter)
      })

      test('a wrong diff ID in the middle: those below are kept no longer than the lease, and nothing else is left', async () => {
        const image = withWrongDiffID(buildImage({ layers: POLITE }), 3)
        await store(backend, image)
        const error = await failure(unpack({ backend, planned: planOf(image, { snapshotter }), applier }))
        expect(error.code).toBe('DIFF_ID_MISMATCH')
        expect(await leftovers(backend, snapshotter)).toEqual([])
        await removeChain(backend, image, snapshotter)
        expect(await snapshotNames(backend, snapshotter)).toEqual([])
      })
    })

    test('three at once on one image end well', async () => {
      const image = buildImage({ layers: POLITE })
      await store(backend, image)
      const planned = planOf(image, { snapshotter })
      const other = await containerd.connect()
      await Promise.all([backend, backend, other].map((each) => unpack({ backend: each, planned, applier: 'own' })))
      expect(await compareTree({ backend, plan: planned.plan, contents: true })).toMatchObject({ ok: true })
      expect(await leftovers(backend, snapshotter)).toEqual([])
      await removeChain(backend, image, snapshotter)
    })

    test('an abort leaves nothing, and the next run ends well', async () => {
      const image = buildImage({ layers: POLITE })
      await store(backend, image)
      const planned = planOf(image, { snapshotter })
      const stop = new AbortController()
      const onEvent: UnpackOptions['onEvent'] = (event) => {
        if (event.type === 'layer' && event.index === 2 && event.step === 'applying') stop.abort()
      }
      const error = await failure(unpack({ backend, planned, applier: 'own', signal: stop.signal, onEvent }))
      expect(error.code).toBe('ABORTED')
      expect(await leftovers(backend, snapshotter)).toEqual([])
      await unpack({ backend, planned, applier: 'own' })
      expect(await compareTree({ backend, plan: planned.plan, contents: true })).toMatchObject({ ok: true })
      await removeChain(backend, image, snapshotter)
    })
  })
})
