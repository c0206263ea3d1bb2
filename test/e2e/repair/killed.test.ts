import { writeFileSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hasCode } from '../../../functions/errors.ts'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import { removeSnapshots } from '../../../functions/runner/chain/removal.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers } from '../../runner/unpack/support/stores.ts'
import { all } from '../../support/all.ts'
import { collect } from '../../support/collect.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { isAtLeast } from '../../support/containerd/versions.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { writeOciArchive } from '../../support/images/write.ts'
import { errorOf } from '../../support/layercast.ts'
import { directoryOf } from '../../support/snapshot-directory.ts'
import { die } from './support/die.ts'

await describeContainerd('what killed runs leave behind', (version) => {
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let count = 0

  beforeAll(async () => {
    containerd = await startContainerd({ version })
    backend = await containerd.connect()
  })
  afterAll(() => containerd?.stop())

  const ok = async (...args: string[]): Promise<void> => {
    const { status, stdout, stderr } = await containerd.layercast(...args)
    expect({ args, status, stderr, stdout: stdout.toString() }).toMatchObject({ args, status: 0, stderr: '' })
  }
  const leases = async (): Promise<string[]> =>
    (await all(backend.leases.list())).map(({ id }) => id.replace(/^layercast-([a-z]+)-.*/, '$1')).sort()
  const views = async (snapshotter: string): Promise<string[]> =>
    (await all(backend.snapshotter(snapshotter).list())).filter(({ kind }) => kind === 'view').map(({ name }) => name)

  describe('on a chain', () => {
    const snapshotter = 'overlayfs'
    let image: BuiltImage
    let name: string
    let top: string
    let planned: Planned
    let archive: string

    beforeEach(async () => {
      const base = `example.com/killed-${++count}`
      image = smallImage(base)
      top = image.chainIDs.at(-1) ?? ''
      ;({ name, archive } = await containerd.importImage(image, base))
      planned = planOf(image, { snapshotter, reference: name })
      await unpack({ backend, planned })
      await writeFile(join(containerd.files, 'plan.json'), planned.bytes)
    })

    /** Puts a file into the top layer, so that it must be made again. */
    const damage = async (): Promise<void> => {
      writeFileSync(join(await directoryOf(backend, snapshotter, top), 'var/stray'), '')
    }
    const killedWithView = async (): Promise<void> => {
      const work = { verb: 'repair', plan: join(containerd.files, 'plan.json') } as const
      await die({ backend: { address: containerd.address }, work, killAfter: { call: 'snapshotter.view', times: 1 } })
      expect(await views(snapshotter)).toEqual([expect.stringContaining(top)])
      expect(await leases()).toEqual(['repair', 'verify'])
    }
    /** A child of the top in containerd's books that is not there. */
    const expectGhost = async (): Promise<void> => {
      expect(await views(snapshotter)).toEqual([])
      await expect(backend.snapshotter(snapshotter).remove(top)).rejects.toMatchObject({
        code: 'FAILED_PRECONDITION',
        message: expect.stringContaining('not there any more') as string,
        detail: { children: [] },
      })
    }
    const expectAllRight = async (): Promise<void> => {
      expect((await containerd.layercast('verify', name, '-s', snapshotter, '--deep', '--contents')).status).toBe(0)
      expect(await leftovers(backend, snapshotter)).toEqual([])
    }

    test('a repair --deep that was killed with a view: the next makes all right', async () => {
      await damage()
      await killedWithView()
      await ok('repair', name, '-s', snapshotter, '--deep')
      await expectAllRight()
      // No ghost stays either: what was made again can be removed by anyone.
      await expect(backend.snapshotter(snapshotter).remove(top)).resolves.toBeUndefined()
    })

    test('the same where nothing is to be mended, and by an unpack and an import that have nothing to do', async () => {
      for (const args of [
        ['repair', name, '-s', snapshotter],
        ['unpack', name, '-s', snapshotter],
        ['image', 'import', `oci-archive:${archive}`, '--reference', name],
      ]) {
        await killedWithView()
        await ok(...args)
        expect({ args, left: await leftovers(backend, snapshotter) }).toEqual({ args, left: [] })
      }
      await backend.snapshotter(snapshotter).remove(top)
    })

    test('and by snapshot rm, which the dead view does not keep from its work', async () => {
      await killedWithView()
      await ok('snapshot', 'rm', '-s', snapshotter, top)
      expect(await leftovers(backend, snapshotter)).toEqual([])
      expect((await all(backend.snapshotter(snapshotter).list())).map((info) => info.name)).not.toContain(top)
    })

    test('a view that the collector took leaves a ghost, and repair --deep and snapshot rm get past it', async () => {
      for (const verb of ['repair', 'rm']) {
        await damage()
        await killedWithView()
        for await (const { id } of backend.leases.list()) await backend.leases.delete(id, { sync: true })
        await expectGhost()
        if (verb === 'repair') await ok('repair', name, '-s', snapshotter, '--deep')
        else {
          await ok('snapshot', 'rm', '-s', snapshotter, top)
          await ok('unpack', name, '-s', snapshotter)
        }
        await expectAllRight()
        expect(await leases()).toEqual([])
      }
    })

    test('a ghost that something keeps is told with what keeps it, and nothing is changed', async () => {
      await damage()
      await killedWithView()
      for await (const { id } of backend.leases.list()) await backend.leases.delete(id, { sync: true })
      const keeper = await backend.leases.create({ id: `keeper-${snapshotter}-${count}` })
      await backend.leases.hold(keeper.id, snapshotter, [top])
      const gc = (await backend.content.info(image.config.digest)).labels
      for (const args of [
        ['repair', name, '-s', snapshotter, '--deep'],
        ['snapshot', 'rm', '-s', snapshotter, top],
      ]) {
        const refused = await containerd.layercast(...args, '-o', 'json')
        expect({ args, status: refused.status, ...errorOf(refused) }).toMatchObject({
          args,
          status: 1,
          code: 'FAILED_PRECONDITION',
          message: expect.stringContaining(`lease ${keeper.id} keeps it`) as string,
          fix: expect.stringContaining('ctr leases rm') as string,
        })
        expect((await backend.content.info(image.config.digest)).labels).toEqual(gc)
      }
      await backend.leases.delete(keeper.id)
      await ok('repair', name, '-s', snapshotter, '--deep')
      await expectAllRight()
    })

    test('a snapshot with a child that is there is refused by its name', async () => {
      const { id } = await backend.leases.create()
      await backend.withLease(id).snapshotter(snapshotter).prepare(`someone ${count}`, top, {})
      const { signal } = new AbortController()
      await expect(
        removeSnapshots(backend, backend.snapshotter(snapshotter), { names: [top], signal }),
      ).rejects.toThrow(`has someone ${count} on it`)
      await backend.snapshotter(snapshotter).remove(`someone ${count}`)
      await backend.leases.delete(id, { sync: true })
    })

    test('an import and a snapshot rm that were killed: their leases go with the next run', async () => {
      const other = join(containerd.files, 'other.tar')
      await writeOciArchive(smallImage(`other ${name}`), other, { ref: '1' })
      await die({
        backend: { address: containerd.address },
        work: { verb: 'import', source: `oci-archive:${other}`, reference: `example.com/other-${count}:1` },
        killAfter: { call: 'content.write', times: 2 },
      })
      expect(await leases()).toEqual(['import'])
      await ok('unpack', name, '-s', snapshotter)
      expect(await leases()).toEqual([])
      await die({
        backend: { address: containerd.address },
        work: { verb: 'rm', snapshotter, names: image.chainIDs.toReversed() },
        killAfter: { call: 'snapshotter.remove', times: 1 },
      })
      expect(await leases()).toEqual(['remove'])
      await ok('unpack', name, '-s', snapshotter)
      await expectAllRight()
    })
  })

  test('ctr image mount and unmount --rm leave a ghost, and repair --deep gets past it', async () => {
    const base = `example.com/mounted-${++count}`
    const image = smallImage(base)
    const { name } = await containerd.importImage(image, base)
    await ok('unpack', name, '-s', 'native')
    const top = image.chainIDs.at(-1) ?? ''
    const at = await mkdtemp(join(containerd.files, 'at-'))
    await containerd.ctr('images', 'mount', '--snapshotter', 'native', name, at)
    // Without --snapshotter it looks for its view in another one.
    await containerd.ctr('images', 'unmount', '--rm', at).catch(() => undefined)
    for await (const { id } of backend.leases.list()) await backend.leases.delete(id, { sync: true })
    await collect(backend)
    const left = (await all(backend.snapshotter('native').list())).filter(({ kind }) => kind !== 'committed')
    expect(left).toEqual([])
    const removed = await backend
      .snapshotter('native')
      .remove(top)
      .catch((error: unknown) => error)
    // 1.6 leaves none.
    const ghost = hasCode(removed, 'FAILED_PRECONDITION')
    expect(ghost || !isAtLeast(version, '2.4')).toBe(true)
    if (ghost) await damageLabels(top)
    await ok('repair', name, '-s', 'native', '--profile', 'stargz', '--labels', 'cri')
    await ok('verify', name, '-s', 'native', '--deep')
  })

  /** A label by which a remote snapshotter has decided, so that it must be made again. */
  async function damageLabels(top: string): Promise<void> {
    await backend.snapshotter('native').update(top, { 'containerd.io/snapshot/cri.image-ref': 'other' })
  }
})
