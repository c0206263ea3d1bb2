import { rmSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { writeOciArchive } from '../../support/images/write.ts'
import { errorOf, layercast, type Ran } from '../../support/layercast.ts'

await describeContainerd("a snapshot that is in containerd's books and whose directory is gone", (version) => {
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let directory: string
  let count = 0

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-lost-'))
    containerd = await startContainerd({ version })
    backend = await containerd.connect()
  })
  afterAll(async () => {
    await containerd?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const run = (...args: string[]): Promise<Ran> => layercast(args, { env: containerd.env })
  /** Where a committed snapshot lies, by the mounts of a view of it. */
  const directoryOf = async (snapshotter: string, chainID: string): Promise<string> => {
    const [mount] = await backend.snapshotter(snapshotter).view(`where-${chainID}`, chainID, {})
    await backend.snapshotter(snapshotter).remove(`where-${chainID}`)
    const lower = mount?.options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length)
    const path = dirname((lower ?? mount?.source ?? '').split(':')[0] ?? '')
    expect(path).toContain('/snapshots')
    return path
  }

  test.each([0, 1, 2])(
    'under overlayfs: layer %i is named by verify --deep, and made again by repair --deep',
    async (layer) => {
      const base = `example.com/lost-${++count}`
      const image = smallImage(base)
      const archive = join(directory, 'image.tar')
      await writeOciArchive(image, archive, { ref: '1' })
      await containerd.importArchive(archive, { baseName: base, snapshotter: 'overlayfs' })
      const name = `${base}:1`
      expect((await run('unpack', name, '-s', 'overlayfs')).status).toBe(0)
      const chainID = image.chainIDs[layer] ?? ''
      rmSync(await directoryOf('overlayfs', chainID), { recursive: true })

      const found = await run('verify', name, '-s', 'overlayfs', '--deep')
      expect([found.status, found.stdout.toString()]).toEqual([
        5,
        expect.stringMatching(new RegExp(`layer ${layer + 1}, snapshot ${chainID}, has lost its directory`)),
      ])
      const json = await run('verify', name, '-s', 'overlayfs', '--deep', '-o', 'json')
      expect([errorOf(json).code, errorOf(json).fix]).toEqual([
        'VERIFICATION_FAILED',
        expect.stringContaining('--deep'),
      ])
      expect(JSON.parse(json.stdout.toString())).toMatchObject({ tree: { ok: false, lost: { index: layer, chainID } } })

      const repaired = await run('repair', name, '-s', 'overlayfs', '--deep')
      expect([repaired.status, repaired.stderr]).toEqual([0, ''])
      expect((await run('verify', name, '-s', 'overlayfs', '--deep', '--contents')).status).toBe(0)
    },
  )

  test('under native, which copies what it shows: the top is named, and made again', async () => {
    const base = `example.com/lost-${++count}`
    const image = smallImage(base)
    const archive = join(directory, 'image.tar')
    await writeOciArchive(image, archive, { ref: '1' })
    await containerd.importArchive(archive, { baseName: base, snapshotter: 'overlayfs' })
    const name = `${base}:1`
    expect((await run('unpack', name, '-s', 'native')).status).toBe(0)
    // A view is a directory beside the others.
    const snapshots = await directoryOf('native', image.chainIDs[0] ?? '')
    const [top] = (await readdir(snapshots)).map(Number).sort((one, other) => other - one)
    rmSync(join(snapshots, String(top)), { recursive: true })

    const found = await run('verify', name, '-s', 'native', '--deep')
    expect([found.status, found.stdout.toString()]).toEqual([
      5,
      expect.stringContaining(`layer 3, snapshot ${image.chainIDs[2] ?? ''}, has lost its directory`),
    ])
    const repaired = await run('repair', name, '-s', 'native', '--deep')
    expect([repaired.status, repaired.stderr]).toEqual([0, ''])
    expect((await run('verify', name, '-s', 'native', '--deep', '--contents')).status).toBe(0)
  })
})
