import { rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { errorOf } from '../../support/layercast.ts'
import { directoryOf } from '../../support/snapshot-directory.ts'

await describeContainerd("a snapshot that is in containerd's books and whose directory is gone", (version) => {
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let count = 0

  beforeAll(async () => {
    containerd = await startContainerd({ version })
    backend = await containerd.connect()
  })
  afterAll(() => containerd?.stop())

  /** An image of its own for a test, there for overlayfs. */
  const imported = async (): Promise<{ image: BuiltImage; name: string }> => {
    const base = `example.com/lost-${++count}`
    const image = smallImage(base)
    return { image, ...(await containerd.importImage(image, base, { snapshotter: 'overlayfs' })) }
  }
  /** Where a committed snapshot lies: the directory of its number. */
  const snapshotOf = async (snapshotter: string, chainID: string): Promise<string> => {
    const path = dirname(await directoryOf(backend, snapshotter, chainID))
    expect(path).toContain('/snapshots')
    return path
  }

  test.each([0, 1, 2])(
    'under overlayfs: layer %i is named by verify --deep, and made again by repair --deep',
    async (layer) => {
      const { image, name } = await imported()
      expect((await containerd.layercast('unpack', name, '-s', 'overlayfs')).status).toBe(0)
      const chainID = image.chainIDs[layer] ?? ''
      rmSync(await snapshotOf('overlayfs', chainID), { recursive: true })

      const found = await containerd.layercast('verify', name, '-s', 'overlayfs', '--deep')
      expect([found.status, found.stdout.toString()]).toEqual([
        5,
        expect.stringMatching(new RegExp(`layer ${layer + 1}, snapshot ${chainID}, has lost its directory`)),
      ])
      const json = await containerd.layercast('verify', name, '-s', 'overlayfs', '--deep', '-o', 'json')
      expect([errorOf(json).code, errorOf(json).fix]).toEqual([
        'VERIFICATION_FAILED',
        expect.stringContaining('--deep'),
      ])
      expect(JSON.parse(json.stdout.toString())).toMatchObject({ tree: { ok: false, lost: { index: layer, chainID } } })

      const repaired = await containerd.layercast('repair', name, '-s', 'overlayfs', '--deep')
      expect([repaired.status, repaired.stderr]).toEqual([0, ''])
      expect((await containerd.layercast('verify', name, '-s', 'overlayfs', '--deep', '--contents')).status).toBe(0)
    },
  )

  test('under native, which copies what it shows: the top is named, and made again', async () => {
    const { image, name } = await imported()
    expect((await containerd.layercast('unpack', name, '-s', 'native')).status).toBe(0)
    // A view is a directory beside the others.
    const snapshots = await snapshotOf('native', image.chainIDs[0] ?? '')
    const [top] = (await readdir(snapshots)).map(Number).sort((one, other) => other - one)
    rmSync(join(snapshots, String(top)), { recursive: true })

    const found = await containerd.layercast('verify', name, '-s', 'native', '--deep')
    expect([found.status, found.stdout.toString()]).toEqual([
      5,
      expect.stringContaining(`layer 3, snapshot ${image.chainIDs[2] ?? ''}, has lost its directory`),
    ])
    const repaired = await containerd.layercast('repair', name, '-s', 'native', '--deep')
    expect([repaired.status, repaired.stderr]).toEqual([0, ''])
    expect((await containerd.layercast('verify', name, '-s', 'native', '--deep', '--contents')).status).toBe(0)
  })
})
