import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { compareTree } from '../../../functions/runner/verify/compare-tree.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers, removeChain, store } from '../../runner/unpack/support/stores.ts'
import { treeOf } from '../../runner/unpack/support/tree.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { dir, file, hardlink, symlink, type TarEntry } from '../../support/images/entries.ts'
import { buildImage, type BuiltImage } from '../../support/images/image.ts'
import { busybox, LAYERED_FILES, layeredImage } from '../../support/images/running.ts'
import { writeOciArchive } from '../../support/images/write.ts'
import { LAUNCHER, layercast, type Ran } from '../../support/layercast.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

const CRI = ['image-ref', 'manifest-digest', 'layer-digest', 'image-layers'].map(
  (key) => `containerd.io/snapshot/cri.${key}`,
)

const of = { mode: 0o750, uid: 5, gid: 6, mtime: 1_600_000_000 }
/** Layers that come to what they describe only where the ones below are looked at as they are written. */
const DEPENDENT: Record<string, TarEntry[][]> = {
  'directories that it leaves out': [
    [dir('data', of), dir('data/sub', of), file('data/sub/x', '')],
    [file('data/sub/y', '')],
  ],
  'a path through a symbolic link': [
    [dir('usr', of), dir('usr/lib', of), symlink('lib', 'usr/lib')],
    [file('lib/z', 'through the link')],
  ],
  'a hard link to a file': [
    [dir('data', of), file('data/a', 'of the layer below', of)],
    [dir('data', of), hardlink('data/c', 'data/a', of)],
  ],
  'an opaque root': [
    [file('a', ''), dir('d', of), file('d/x', '')],
    [file('.wh..wh..opq'), file('c', '')],
  ],
}

/** Without the times of directories: that of one which a layer adds to without naming it is nobody's to say. */
function untimed(tree: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tree).map(([path, facts]) => [path, facts.replace(/^(4\d{4} \d+ \d+ ).*$/, '$1')]),
  )
}

await describeContainerd('layercast unpack --snapshotter erofs', (version) => {
  // 1.6 and 1.7 have none; 2.2's diff service cannot mount what its own snapshotter answers above the first layer.
  const here = hasMkfsErofs && busybox !== undefined && version.startsWith('2.')
  const appliers = version === '2.2' ? ['own', 'default'] : ['containerd', 'own', 'default']
  let containerd: TestContainerd
  let directory: string

  beforeAll(async () => {
    if (!here) return
    directory = await mkdtemp(join(tmpdir(), 'layercast-erofs-'))
    containerd = await startContainerd({ version, namespace: 'erofs' })
  })
  afterAll(async () => {
    await containerd?.stop()
    if (directory) await rm(directory, { recursive: true, force: true })
  })

  const run = (...args: string[]): Promise<Ran> => layercast(args, { env: containerd.env })

  /** Imports the image, unpacked for overlayfs by containerd's own sequential unpack. */
  async function bring(built: BuiltImage, base: string): Promise<string> {
    const archive = join(directory, 'image.tar')
    await writeOciArchive(built, archive, { ref: '1' })
    await containerd.importArchive(archive, { baseName: base, snapshotter: 'overlayfs' })
    return `${base}:1`
  }

  test.runIf(here).for(appliers)('applier %s: the tree is the one that the layers describe', async (applier) => {
    const built = layeredImage(applier)
    const name = await bring(built, `example.com/${applier}`)
    const ran = await run('unpack', name, '-s', 'erofs', ...(applier === 'default' ? [] : ['--applier', applier]))
    expect([ran.status, ran.stderr]).toEqual([0, ''])

    const backend = await containerd.connect()
    const { plan } = planOf(built, { snapshotter: 'erofs', reference: name })
    expect((await verifyChain({ backend, plan })).ok).toBe(true)
    for (const chainID of built.chainIDs) {
      const { labels } = await backend.snapshotter('erofs').stat(chainID)
      expect(Object.keys(labels)).toEqual(expect.arrayContaining(CRI))
    }
    expect(await leftovers(backend, 'erofs')).toEqual([])

    const top = built.chainIDs.at(-1) ?? ''
    const tree = untimed(await treeOf(backend, 'erofs', top))
    expect(tree).toEqual(untimed(await treeOf(backend, 'overlayfs', top)))
    expect(Object.keys(tree).filter((path) => !/^(bin|seed)/.test(path))).toEqual([
      'data',
      'data/hard',
      'data/kept',
      'data/new',
      'data/replaced',
      'hidden',
      'hidden/new',
      'tree',
      'tree/again',
    ])
    expect(tree['data']).toMatch(/^40700 5 6 /)
    const deep = await run('verify', name, '-s', 'erofs', '--deep', '--contents')
    expect([deep.status, deep.stderr]).toEqual([0, ''])

    // A container of it sees the same.
    const shown = await containerd.ctr('run', '--rm', '--snapshotter', 'erofs', name, `c-${applier}`)
    expect(shown.match(/^[a-z]+$/gm)).toEqual(LAYERED_FILES)
  })

  test.runIf(here && version !== '2.2')(
    'from a mount namespace that does not show the snapshots, containerd writes the layers',
    async () => {
      const built = layeredImage('elsewhere')
      const name = await bring(built, 'example.com/elsewhere')
      const launcher = join(directory, 'elsewhere.sh')
      const hidden = `mount -t tmpfs none ${join(containerd.directory, 'root')}`
      await writeFile(launcher, `#!/bin/sh\nexec unshare --mount sh -c '${hidden}; exec ${LAUNCHER} "$@"' sh "$@"\n`, {
        mode: 0o755,
      })
      const ran = await layercast(['unpack', name, '-s', 'erofs'], { env: containerd.env, launcher })
      expect([ran.status, ran.stderr]).toEqual([0, ''])
      const deep = await run('verify', name, '-s', 'erofs', '--deep', '--contents')
      expect([deep.status, deep.stderr]).toEqual([0, ''])
    },
  )

  test.runIf(here).for(Object.keys(DEPENDENT))(
    'where no applier is asked for, %s of the layer below: the tree is the one that the layers describe',
    async (title) => {
      const backend = await containerd.connect()
      const built = buildImage({ layers: DEPENDENT[title] ?? [] })
      await store(backend, built)
      const planned = planOf(built, { snapshotter: 'erofs' })
      await unpack({ backend, planned })
      const tree = await compareTree({ backend, plan: planned.plan, contents: true })
      expect(tree).toMatchObject({ ok: true, notCompared: [], differences: [] })
      expect(await leftovers(backend, 'erofs')).toEqual([])
      await removeChain(backend, built, 'erofs')
    },
  )
})
