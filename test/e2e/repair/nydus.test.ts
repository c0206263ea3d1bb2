import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import { repairChain } from '../../../functions/runner/repair/repair.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { stateText } from '../../../functions/runner/verify/state.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers } from '../../runner/unpack/support/stores.ts'
import { collect } from '../../support/collect.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { NEWEST, nydusProgram, programs } from '../../support/containerd/versions.ts'
import { damageLabel, labelDamages, madeAt } from '../../support/damage.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { errorOf } from '../../support/layercast.ts'
import { passAnHour } from '../../support/pass-an-hour.ts'

const missing = [await programs(NEWEST), await nydusProgram()].flatMap((found) =>
  'missing' in found ? [found.missing] : [],
)
const reason = missing.length === 0 ? '' : ` (skipped: ${missing.join('; ')})`
const REF = 'containerd.io/snapshot.ref'
const LAYER_DIGEST = 'containerd.io/snapshot/cri.layer-digest'
const IMAGE_REF = 'containerd.io/snapshot/cri.image-ref'

describe.skipIf(missing.length > 0)(`repair under nydus in proxy mode, the newest containerd${reason}`, () => {
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let image: BuiltImage
  let name: string
  let planned: Planned
  let count = 0

  beforeAll(async () => {
    containerd = await startContainerd({ version: NEWEST, nydus: true })
    backend = await containerd.connect()
  })
  afterAll(() => containerd?.stop())
  beforeEach(async () => {
    const base = `example.com/nydus-${++count}`
    image = smallImage(base)
    ;({ name } = await containerd.importImage(image, base, { snapshotter: 'overlayfs' }))
    planned = planOf(image, { snapshotter: 'nydus', reference: name })
    // A guest pulls the image by itself: nothing here needs a blob.
    for (const { digest } of image.layers) await backend.content.remove(digest)
  })

  const verify = () => verifyChain({ backend, plan: planned.plan })

  /** The lower layers as a tool makes them that sends no more than nydus cannot do without. */
  const halfMade = async (layers: number, more: Record<string, string> = {}): Promise<void> => {
    const lease = await backend.leases.create()
    const snapshotter = backend.withLease(lease.id).snapshotter('nydus')
    for (const [index, { chainID, parent, descriptor }] of planned.plan.layers.slice(0, layers).entries()) {
      const labels = { [REF]: chainID, [LAYER_DIGEST]: descriptor.digest, ...more }
      await expect(snapshotter.prepare(`extract-${index}`, parent, labels)).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
      })
    }
    const gc = { 'containerd.io/gc.ref.snapshot.nydus': image.chainIDs[layers - 1] ?? '' }
    await backend.content.label(planned.plan.config.digest, gc)
    await backend.leases.delete(lease.id)
  }

  test('a chain without the labels that a guest needs is told, and made again from the bottom up', async () => {
    await halfMade(3)
    const told = await containerd.layercast('verify', name, '-s', 'nydus')
    expect([told.status, told.stdout.toString()]).toEqual([5, expect.stringMatching(/mislabelled: whole/)])
    const made = await madeAt(backend, planned.plan)
    const dry = await containerd.layercast('repair', name, '-s', 'nydus', '--dry-run')
    expect([dry.status, dry.stdout.toString()]).toEqual([0, expect.stringMatching(/made again: decided at Prepare/)])
    expect(await madeAt(backend, planned.plan)).toEqual(made)
    const done = await containerd.layercast('repair', name, '-s', 'nydus', '-o', 'json')
    expect([done.status, done.stderr]).toEqual([0, ''])
    expect(JSON.parse(done.stdout.toString())).toMatchObject({ ok: true, decision: { make: [0, 1, 2] } })
    expect((await containerd.layercast('verify', name, '-s', 'nydus')).status).toBe(0)
    expect(await leftovers(backend, 'nydus')).toEqual([])
  })

  test('a half-made chain, with what its unpacker left, is told in words and made right', async () => {
    await halfMade(2, { [IMAGE_REF]: 'example.com/elsewhere:1' })
    const key = `extract-1-left ${image.chainIDs[2]}`
    const root = { 'containerd.io/gc.root': '2026-01-01T00:00:00Z' }
    await backend.snapshotter('nydus').prepare(key, image.chainIDs[1] ?? '', root)
    const report = await verify()
    expect(report).toMatchObject({ ok: false, state: 'partial', leftovers: [key] })
    expect(stateText(report)).toMatch(/2 of 3 layers are there, the upper ones are missing; 1 left or still at work/)
    // It may be at work, so it is left alone for an hour.
    await expect(repairChain({ backend, planned })).rejects.toMatchObject({
      code: 'SNAPSHOT_IN_USE',
      detail: { users: [{ what: 'unpack', name: key }] },
    })
    passAnHour()
    expect(await repairChain({ backend, planned })).toMatchObject({ ok: true, leftovers: [key] })
    expect(await leftovers(backend, 'nydus')).toEqual([])
  })

  test('every single label dropped, changed, swapped or added is found, and those of a layer mended', async () => {
    await unpack({ backend, planned })
    for (const damage of labelDamages(planned.plan)) {
      await damageLabel(backend, planned.plan, damage)
      expect({ damage, ok: (await verify()).ok }).toEqual({ damage, ok: false })
      const right = planned.plan.layers.find(({ chainID }) => chainID === damage.chainID)?.labels[damage.key] ?? ''
      if (damage.chainID === image.chainIDs[1]) await repairChain({ backend, planned })
      else await damageLabel(backend, planned.plan, { ...damage, value: right })
      expect(await verify()).toMatchObject({ ok: true, state: 'ready' })
    }
    expect(await leftovers(backend, 'nydus')).toEqual([])
  })

  // A container of this snapshotter takes a guest; its snapshot is what it would stand on.
  test('what stands on it keeps it from being made again, by name', async () => {
    await halfMade(3, { [IMAGE_REF]: 'example.com/elsewhere:1' })
    const snapshotter = backend.snapshotter('nydus')
    const id = `container-${count}`
    await snapshotter.prepare(id, image.chainIDs[2] ?? '', { 'containerd.io/gc.root': '2026-01-01T00:00:00Z' })
    const refused = await containerd.layercast('repair', name, '-s', 'nydus', '-o', 'json')
    expect([refused.status, errorOf(refused).code]).toEqual([1, 'SNAPSHOT_IN_USE'])
    expect(errorOf(refused).message).toContain(`snapshot ${id}`)
    await snapshotter.remove(id)
    await collect(backend)
    expect((await containerd.layercast('repair', name, '-s', 'nydus')).status).toBe(0)
    expect((await verify()).layers.flatMap(({ problems }) => problems)).toEqual([])
    expect((await backend.snapshotter('nydus').stat(image.chainIDs[0] ?? '')).labels[IMAGE_REF]).toBe(name)
  })

  test('there is no tree to compare, which is said', async () => {
    await unpack({ backend, planned })
    const deep = await containerd.layercast('verify', name, '-s', 'nydus', '--deep', '-o', 'json')
    expect([deep.status, errorOf(deep).code]).toEqual([1, 'TREE_NOT_ON_NODE'])
    const every = await containerd.layercast('verify', '--all', '--deep', '-s', 'nydus')
    expect(every.stdout.toString()).toMatch(
      new RegExp(`${name} .*ready; lazy: 3 of 3 layers; nydus .*no tree on the node`),
    )
  })
})
