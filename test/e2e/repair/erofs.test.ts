import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers } from '../../runner/unpack/support/stores.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { NEWEST, programs } from '../../support/containerd/versions.ts'
import { errorOf } from '../../support/layercast.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

const found = await programs(NEWEST)
const missing = 'missing' in found ? found.missing : hasMkfsErofs ? '' : 'mkfs.erofs is not installed'

describe.skipIf(missing !== '')(
  `verify --deep under erofs, the newest containerd${missing && ` (skipped: ${missing})`}`,
  () => {
    let containerd: TestContainerd
    let backend: ContainerdBackend

    beforeAll(async () => {
      containerd = await startContainerd({ version: NEWEST })
      backend = await containerd.connect()
    })
    afterAll(() => containerd?.stop())

    test('finds the deleted files that come back in a chain that containerd made side by side, and repair mends it', async () => {
      const base = 'example.com/erofs'
      const image = smallImage(base)
      const { name } = await containerd.importImage(image, base)
      const { plan } = planOf(image, { snapshotter: 'erofs', reference: name })
      // What core/unpack does where the snapshotter rebases and no differ of its own applies the layer: each layer by itself
      // on a directory that is empty, so that what it deletes is not there to be deleted.
      const lease = await backend.leases.create()
      const leased = backend.withLease(lease.id)
      const snapshotter = leased.snapshotter('erofs')
      for (const [index, layer] of plan.layers.entries()) {
        const key = `extract-${index} ${layer.chainID}`
        await leased.diffService.apply(layer.descriptor, await snapshotter.prepare(key, '', layer.labels))
        await snapshotter.commit(layer.chainID, key, layer.labels, layer.parent === '' ? {} : { parent: layer.parent })
      }
      await backend.content.label(plan.config.digest, { 'containerd.io/gc.ref.snapshot.erofs': plan.chainID })
      await backend.leases.delete(lease.id, { sync: true })

      // Parents, kinds and labels are all right: only the tree tells.
      expect((await containerd.layercast('verify', name, '-s', 'erofs')).status).toBe(0)
      const deep = await containerd.layercast('verify', name, '-s', 'erofs', '--deep', '-o', 'json')
      expect([deep.status, errorOf(deep).code]).toEqual([5, 'VERIFICATION_FAILED'])
      const { tree } = JSON.parse(deep.stdout.toString()) as { tree: { differences: object[] } }
      expect(tree.differences).toEqual(
        expect.arrayContaining([
          { code: 'DELETED_BACK', path: 'etc/gone', actual: 'file', layer: 1 },
          { code: 'DELETED_BACK', path: 'var/hidden', actual: 'file', layer: 2 },
        ]),
      )
      const shown = await containerd.layercast('verify', name, '-s', 'erofs', '--deep')
      expect(shown.stdout.toString()).toMatch(/etc\/gone +file that layer 2 deletes/)
      const done = await containerd.layercast('repair', name, '-s', 'erofs', '--deep', '-o', 'json')
      expect([done.status, done.stderr]).toEqual([0, ''])
      expect(JSON.parse(done.stdout.toString())).toMatchObject({ ok: true, decision: { make: [1, 2] } })
      expect((await containerd.layercast('verify', name, '-s', 'erofs', '--deep', '--contents')).status).toBe(0)
      expect(await leftovers(backend, 'erofs')).toEqual([])
    })

    test.each(['containerd', 'own'] as const)('finds nothing in what the applier %s writes', async (applier) => {
      const base = `example.com/erofs-${applier}`
      const image = smallImage(base)
      const { name } = await containerd.importImage(image, base)
      await unpack({ backend, planned: planOf(image, { snapshotter: 'erofs', reference: name }), applier })
      const deep = await containerd.layercast('verify', name, '-s', 'erofs', '--deep', '--contents')
      expect([deep.status, deep.stderr]).toEqual([0, ''])
    })
  },
)
