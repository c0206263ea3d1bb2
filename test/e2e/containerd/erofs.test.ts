import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDigest } from '../../../functions/image/digest.ts'
import type { Mount } from '../../../functions/linux/mount-list.ts'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { Snapshotter } from '../../../functions/node/ports.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

const run = promisify(execFile)
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

await describeContainerd('the erofs snapshotter through the diff service', (version) => {
  // 1.6 and 1.7 have none.
  const here = hasMkfsErofs && version.startsWith('2.')
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let erofs: Snapshotter

  beforeAll(async () => {
    containerd = await startContainerd({ version })
    const unleased = await containerd.connect()
    backend = unleased.withLease((await unleased.leases.create()).id)
    erofs = backend.snapshotter('erofs')
  })
  afterAll(() => containerd?.stop())

  /** Applies layers of these files one on the other; gives the name of the top snapshot. */
  const applyAll = async (layers: readonly (readonly string[])[]): Promise<string> => {
    let parent = ''
    for (const [index, files] of layers.entries()) {
      const tree = join(containerd.directory, 'tmp', `layer-${index}`)
      for (const file of files) {
        await mkdir(join(tree, file, '..'), { recursive: true })
        await writeFile(join(tree, file), file)
      }
      await run('tar', ['-C', tree, '-czf', `${tree}.tgz`, '.'])
      const bytes = await readFile(`${tree}.tgz`)
      const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
      const layer = { mediaType: LAYER, digest, size: bytes.length }
      const once = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes
      }
      await backend.content.write(layer, once())
      const mounts = await erofs.prepare(`extract-${index}`, parent, {})
      await backend.diffService.apply(layer, mounts)
      await erofs.commit(`committed-${index}`, `extract-${index}`, {})
      parent = `committed-${index}`
    }
    return parent
  }
  /** The files of a snapshot, its layers mounted here one by one. */
  const filesOf = async (name: string): Promise<string[]> => {
    const mounts = await erofs.view(`view-${name}`, name, {})
    const base = join(containerd.directory, 'mounts')
    const root = join(base, 'root')
    await mkdir(root, { recursive: true })
    const lower = await Promise.all(mounts.filter(({ type }) => type === 'erofs').map(mountLayer))
    const direct = mounts.find(({ type }) => type === 'overlay')?.options ?? []
    await run('mount', ['-t', 'overlay', 'overlay', '-o', direct[0] ?? `lowerdir=${lower.join(':')}`, root])
    const { stdout } = await run('find', ['.', '-type', 'f', '-printf', '%P\n'], { cwd: root })
    return stdout.trim().split('\n').toSorted()
  }
  const mountLayer = async ({ source }: Mount, index: number): Promise<string> => {
    const target = join(containerd.directory, 'mounts', String(index))
    await mkdir(target)
    await run('mount', ['-t', 'erofs', '-o', 'ro,loop', source, target])
    return target
  }
  const layers = [['kept/a', 'kept/b', 'opaque/x'], ['kept/.wh.a', 'opaque/.wh..wh..opq', 'opaque/y'], ['new/z']]

  test.runIf(here && version !== '2.2')('a chain has what its layers describe, without what they delete', async () => {
    expect(await filesOf(await applyAll(layers))).toEqual(['kept/b', 'new/z', 'opaque/y'])
  })

  test.runIf(here && version === '2.2')('2.2 applies the first layer only, and says what it cannot mount', async () => {
    await expect(applyAll(layers)).rejects.toEqual(
      expect.objectContaining({ code: 'CONTAINERD_FAILED', message: expect.stringContaining('format/mkdir/overlay') }),
    )
    expect(await erofs.stat('committed-0')).toMatchObject({ kind: 'committed' })
  })
})
