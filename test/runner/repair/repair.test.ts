import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Backend } from '../../../functions/node/ports.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import { dryRunRepair, repairChain } from '../../../functions/runner/repair/repair.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyAll, type VerifiedImage } from '../../../functions/runner/verify/all.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { all } from '../../support/all.ts'
import { chainOf, damageLabel, labelDamages, madeAt, misplace, removeFrom } from '../../support/damage.ts'
import { file } from '../../support/images/entries.ts'
import { buildImage, buildIndex, type BuiltImage } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { passAnHour } from '../../support/pass-an-hour.ts'
import { directoryOf } from '../../support/snapshot-directory.ts'
import { smallImage } from '../unpack/support/images.ts'
import { intercept } from '../unpack/support/intercept.ts'
import { planOf } from '../unpack/support/plans.ts'
import { sandbox, type Sandbox } from '../unpack/support/sandbox.ts'
import { leftovers, store } from '../unpack/support/stores.ts'

const SNAPSHOTTER = 'overlayfs'
const GC = `containerd.io/gc.ref.snapshot.${SNAPSHOTTER}`
const image = smallImage()

describe('repair over the embedded backend', () => {
  let box: Sandbox
  let backend: Backend
  let planned: Planned

  beforeEach(async () => {
    box = await sandbox(image)
    backend = box.backend
    planned = planOf(image, { snapshotter: SNAPSHOTTER })
    await unpack({ backend, planned })
  })
  afterEach(() => box.close())

  const verify = (of = planned) => verifyChain({ backend, plan: of.plan })
  const content = async (chainID: string, path: string): Promise<string> =>
    join(await directoryOf(backend, SNAPSHOTTER, chainID), path)

  test('leaves alone what is as planned', async () => {
    const before = await chainOf(backend, planned.plan)
    const result = await repairChain({ backend, planned, deep: true, contents: true })
    expect(result).toMatchObject({ ok: true, decision: { update: [], remove: [], make: [], labelConfig: false } })
    expect(result.unpacked).toBeUndefined()
    expect(await chainOf(backend, planned.plan)).toEqual(before)
    expect(await leftovers(backend, SNAPSHOTTER)).toEqual([])
  })

  test('mends every single label that was dropped, changed, swapped or added, where it stands', async () => {
    const made = await madeAt(backend, planned.plan)
    for (const damage of labelDamages(planned.plan)) {
      await damageLabel(backend, planned.plan, damage)
      const report = await verify()
      expect({ damage, ok: report.ok, state: report.state }).toEqual({ damage, ok: false, state: 'mislabelled' })
      const result = await repairChain({ backend, planned })
      expect({ damage, ok: result.ok }).toEqual({ damage, ok: true })
      expect(result.decision.update).toHaveLength(1)
      expect(await verify()).toMatchObject({ ok: true, state: 'ready' })
    }
    expect(await madeAt(backend, planned.plan)).toEqual(made)
  })

  test('leaves a label that no plan writes, whoever wrote it', async () => {
    const [bottom] = planned.plan.layers
    const key = 'containerd.io/snapshot/remote/namespace'
    await damageLabel(backend, planned.plan, { chainID: bottom?.chainID ?? '', key, value: 'k8s.io' })
    await damageLabel(backend, planned.plan, {
      chainID: bottom?.chainID ?? '',
      key: 'containerd.io/snapshot.ref',
      value: '',
    })
    expect((await repairChain({ backend, planned })).ok).toBe(true)
    expect((await chainOf(backend, planned.plan))[0]?.labels).toEqual({ ...bottom?.labels, [key]: 'k8s.io' })
    await damageLabel(backend, planned.plan, { chainID: bottom?.chainID ?? '', key, value: '' })
  })

  test('mends any number of them at once, and the gc label with them', async () => {
    const damages = labelDamages(planned.plan)
    const gc = fc.constantFrom(undefined, '', image.chainIDs[0] ?? '', 'nowhere')
    await fc.assert(
      fc.asyncProperty(fc.subarray(damages, { minLength: 1 }), gc, async (chosen, label) => {
        for (const damage of chosen) await damageLabel(backend, planned.plan, damage)
        if (label !== undefined) await backend.content.label(planned.plan.config.digest, { [GC]: label })
        expect((await verify()).ok).toBe(false)
        expect((await repairChain({ backend, planned })).ok).toBe(true)
        expect(await verify()).toMatchObject({ ok: true, state: 'ready' })
      }),
      { numRuns: 40 },
    )
  })

  test('makes again what a remote snapshotter decided by a label, and changes the others in place', async () => {
    const lazy = planOf(image, { snapshotter: SNAPSHOTTER, profile: 'stargz' })
    for (const damage of labelDamages(planned.plan)) {
      await damageLabel(backend, planned.plan, damage)
      const index = image.chainIDs.indexOf(damage.chainID as never)
      const { decision, missing, users } = await dryRunRepair({ backend, planned: lazy })
      const decisive = /image-ref|layer-digest|image-layers|stargz/.test(damage.key)
      expect({ damage, remove: decision.remove.map((each) => each.index) }).toEqual({
        damage,
        remove: decisive ? [2, 1, 0].filter((each) => each >= index) : [],
      })
      expect({ missing, users }).toEqual({ missing: [], users: [] })
      const made = await madeAt(backend, planned.plan)
      expect((await repairChain({ backend, planned: lazy })).ok).toBe(true)
      expect((await madeAt(backend, planned.plan)).slice(0, index)).toEqual(made.slice(0, index))
    }
    expect(await leftovers(backend, SNAPSHOTTER)).toEqual([])
  })

  describe('structure', () => {
    test('a snapshot without its parent is made again with what stands on it, and what is below stays', async () => {
      const made = await madeAt(backend, planned.plan)
      await removeFrom(backend, planned.plan, 1)
      await misplace(backend, planned.plan, 1, '')
      expect(await verify()).toMatchObject({
        state: 'broken',
        layers: [{ problems: [] }, { problems: [{ code: 'PARENT_WRONG', actual: '' }] }, {}],
      })
      const result = await repairChain({ backend, planned, deep: true })
      expect(result).toMatchObject({
        ok: true,
        decision: { remove: [{ index: 1, why: 'wrong parent' }], make: [1, 2] },
      })
      expect((await madeAt(backend, planned.plan))[0]).toBe(made[0])
    })

    test('a top without its parent is found and mended, and an unpack does not take it for ready', async () => {
      await removeFrom(backend, planned.plan, 2)
      await misplace(backend, planned.plan, 2, '')
      await expect(unpack({ backend, planned })).rejects.toMatchObject({
        code: 'CHAIN_INCOMPLETE',
        fix: expect.stringContaining('layercast repair') as string,
      })
      expect(await verify()).toMatchObject({ ok: false, state: 'broken' })
      expect((await repairChain({ backend, planned })).decision.remove).toMatchObject([
        { index: 2, why: 'wrong parent' },
      ])
      expect(await verify()).toMatchObject({ ok: true, state: 'ready' })
    })

    test('a snapshot that was never committed is made again', async () => {
      const { chainID, labels } = planned.plan.layers[2] as Planned['plan']['layers'][number]
      await removeFrom(backend, planned.plan, 2)
      const { 'containerd.io/snapshot.ref': _, ...rest } = labels
      await backend.snapshotter(SNAPSHOTTER).prepare(chainID, image.chainIDs[1] ?? '', rest)
      expect(await verify()).toMatchObject({ state: 'broken' })
      const result = await repairChain({ backend, planned })
      expect(result).toMatchObject({ ok: true, decision: { remove: [{ index: 2, why: 'wrong kind' }] } })
    })

    test('what is missing is unpacked, and a chain that is absent too', async () => {
      for (const index of [2, 1, 0]) {
        await removeFrom(backend, planned.plan, index)
        expect(await verify()).toMatchObject({ ok: false, state: index === 0 ? 'absent' : 'partial' })
        expect(await repairChain({ backend, planned })).toMatchObject({ ok: true, decision: { remove: [] } })
        expect(await verify()).toMatchObject({ ok: true })
      }
    })
  })

  describe('the tree', () => {
    test('a file that was changed in a snapshot has it made again from there on', async () => {
      const made = await madeAt(backend, planned.plan)
      const at = await content(image.chainIDs[1] ?? '', 'etc/new')
      writeFileSync(at, 'overwritten by someone')
      expect((await repairChain({ backend, planned })).decision.remove).toEqual([])
      const result = await repairChain({ backend, planned, deep: true })
      expect(result.tree?.differences).toEqual([
        { code: 'SIZE', path: 'etc/hard', expected: 4, actual: 22 },
        { code: 'SIZE', path: 'etc/new', expected: 4, actual: 22 },
      ])
      expect(result).toMatchObject({
        ok: true,
        treeAfter: { ok: true, total: 0 },
        decision: {
          remove: [
            { index: 2, why: 'stands on one of these' },
            { index: 1, why: 'wrong tree' },
          ],
          make: [1, 2],
        },
      })
      const after = await madeAt(backend, planned.plan)
      expect(after[0]).toBe(made[0])
      expect(after[1]).not.toBe(made[1])
    })

    test('content of the same size is found where contents are asked for, and only there', async () => {
      const at = await content(image.chainIDs[2] ?? '', 'var/seen')
      writeFileSync(at, readFileSync(at, 'utf8').toUpperCase())
      expect((await dryRunRepair({ backend, planned, deep: true })).tree?.differences).toEqual([])
      const look = await dryRunRepair({ backend, planned, deep: true, contents: true })
      expect(look).toMatchObject({ tree: { differences: [{ code: 'CONTENT', path: 'var/seen' }] } })
      expect(look.decision.remove).toHaveLength(1)
      expect((await repairChain({ backend, planned, deep: true, contents: true })).ok).toBe(true)
    })

    test('is compared as far as the blobs go', async () => {
      writeFileSync(await content(image.chainIDs[0] ?? '', 'etc/stray'), '')
      await backend.content.remove(image.layers[1]?.digest ?? ('' as never))
      const { tree } = await dryRunRepair({ backend, planned, deep: true })
      expect(tree).toMatchObject({
        ok: false,
        compared: 1,
        notCompared: [
          { index: 1, why: 'blob missing' },
          { index: 2, why: 'above one of these' },
        ],
        differences: [{ code: 'EXTRA', path: 'etc/stray' }],
      })
    })

    test('of a chain that only a guest has is refused in words', async () => {
      const guest = planOf(image, { snapshotter: SNAPSHOTTER, profile: 'nydus' })
      await expect(repairChain({ backend, planned: guest, deep: true })).rejects.toMatchObject({
        code: 'TREE_NOT_ON_NODE',
        message: expect.stringContaining('keeps no tree on the node') as string,
      })
    })
  })

  describe('changes nothing and says why', () => {
    let untouched: unknown

    const state = async () => ({
      snapshots: await all(backend.snapshotter(SNAPSHOTTER).list()),
      config: (await backend.content.info(planned.plan.config.digest)).labels,
      leases: await all(backend.leases.list()),
    })
    const refused = async (expected: object, options = {}) => {
      untouched = await state()
      await expect(repairChain({ backend, planned, ...options })).rejects.toMatchObject(expected)
      expect(await state()).toEqual(untouched)
    }
    beforeEach(async () => {
      await removeFrom(backend, planned.plan, 1)
      await misplace(backend, planned.plan, 1, '')
    })

    test('where another image stands on it, by every name that it has', async () => {
      // The same layers with another config: they share every snapshot.
      const other = buildImage({ layers: image.tars, compression: ['gzip', 'none', 'gzip'], config: { Env: ['A=1'] } })
      expect(other.chainIDs).toEqual(image.chainIDs)
      await store(backend, other, 'example.com/other:1')
      await store(backend, other, 'example.com/other:again')
      await backend.content.label(other.config.digest, { [GC]: image.chainIDs[1] ?? '' })
      const name = 'example.com/other:1, example.com/other:again'
      await refused({
        code: 'SNAPSHOT_IN_USE',
        message: expect.stringContaining(`image ${name}`) as string,
        detail: { users: [{ what: 'image', name, snapshot: image.chainIDs[1] }] },
      })
      expect(await dryRunRepair({ backend, planned })).toMatchObject({ users: [{ what: 'image', name }] })
      await backend.content.label(other.config.digest, { [GC]: '' })
      expect((await repairChain({ backend, planned })).ok).toBe(true)
    })

    test('where a snapshot that is nobody we know stands on it', async () => {
      await backend.snapshotter(SNAPSHOTTER).prepare('someone', image.chainIDs[1] ?? '', {})
      await refused({ detail: { users: [{ what: 'snapshot', name: 'someone', snapshot: image.chainIDs[1] }] } })
      expect((await verify()).leftovers).toEqual([])
    })

    test('where an unpack is at work on it; what one left an hour ago goes with it', async () => {
      const key = `extract-1-abcd ${image.chainIDs[2]}`
      await backend.snapshotter(SNAPSHOTTER).prepare(key, image.chainIDs[1] ?? '', {})
      await refused({ code: 'SNAPSHOT_IN_USE', detail: { users: [{ what: 'unpack', name: key }] } })
      expect((await verify()).leftovers).toEqual([key])
      passAnHour()
      const result = await repairChain({ backend, planned })
      expect(result).toMatchObject({ ok: true, leftovers: [key] })
      expect(await leftovers(backend, SNAPSHOTTER)).toEqual([])
    })

    test('where a blob that it takes is not there, unless a source has it', async () => {
      const layer = image.layers[1] as BuiltImage['layers'][number]
      await backend.content.remove(layer.digest)
      await refused({ code: 'BLOB_NOT_FOUND', detail: { digests: [layer.digest] } })
      expect((await dryRunRepair({ backend, planned })).missing).toEqual([layer.digest])
      const layout = join(box.root, 'layout')
      await writeOciLayout(image, layout)
      const steps: string[] = []
      const result = await repairChain({
        backend: intercept(backend, (call, goOn) => {
          const [expected] = call.args as [{ digest: string }]
          if (call.name === 'content.write' && expected.digest === layer.digest) steps.push('fetched')
          return goOn()
        }),
        planned,
        blobs: { sources: [`oci:${layout}`] },
        onEvent: ({ type }) => steps.push(type),
      })
      expect(result.ok).toBe(true)
      expect(steps).toContain('fetched')
      expect(steps.indexOf('fetched')).toBeLessThan(steps.indexOf('removed'))
    })

    test('where the config is not there', async () => {
      await backend.content.remove(planned.plan.config.digest)
      await expect(repairChain({ backend, planned })).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' })
    })

    test('where another repair of the same chain is at work', async () => {
      const ends = await Promise.allSettled([repairChain({ backend, planned }), repairChain({ backend, planned })])
      const [done, ...refusals] = ends.toSorted((end) => (end.status === 'fulfilled' ? -1 : 1))
      expect(done).toMatchObject({ status: 'fulfilled', value: { ok: true } })
      expect(refusals).toMatchObject([{ status: 'rejected', reason: { code: 'ALREADY_EXISTS' } }])
      expect(await leftovers(backend, SNAPSHOTTER)).toEqual([])
    })
  })

  test('a container that comes in between stops the removal, and the gc label is set back', async () => {
    await removeFrom(backend, planned.plan, 2)
    await misplace(backend, planned.plan, 2, image.chainIDs[0] ?? '')
    const late = intercept(backend, async ({ name, args }, goOn) => {
      if (name === 'snapshotter.remove' && args[0] === image.chainIDs[2]) {
        const snapshotter = backend.snapshotter(SNAPSHOTTER)
        await snapshotter.prepare('container', image.chainIDs[2] ?? '', {}).catch(() => undefined)
      }
      return goOn()
    })
    await expect(repairChain({ backend: late, planned })).rejects.toMatchObject({
      code: 'SNAPSHOT_IN_USE',
      detail: { users: [{ name: 'container' }] },
    })
    expect((await backend.content.info(planned.plan.config.digest)).labels[GC]).toBe(image.chainIDs[2])
  })

  test('stopped at any call and run again, it ends well', { timeout: 120_000 }, async () => {
    let calls = 0
    let stopAt = Number.POSITIVE_INFINITY
    const dying = intercept(backend, async (_, goOn) => {
      // As a kill would: from that call on nothing works any more, cleaning up neither.
      if (++calls > stopAt) throw new Error('the process is no more')
      return goOn()
    })
    const damage = async (): Promise<void> => {
      await removeFrom(backend, planned.plan, 1)
      await misplace(backend, planned.plan, 1, '')
    }
    await damage()
    expect((await repairChain({ backend: dying, planned })).ok).toBe(true)
    const whole = calls
    expect(whole).toBeGreaterThan(30)
    for (stopAt = 1; stopAt < whole; stopAt++) {
      await damage()
      calls = 0
      const outcome = await repairChain({ backend: dying, planned }).catch((error: unknown) => error)
      expect({ stopAt, failed: outcome instanceof Error }).toEqual({ stopAt, failed: true })
      // The owner is this process, which lives: its leases are taken for those of a run at work.
      for await (const { id } of backend.leases.list()) await backend.leases.delete(id, { sync: true })
      passAnHour()
      expect((await repairChain({ backend, planned, deep: true })).ok).toBe(true)
      expect(await leftovers(backend, SNAPSHOTTER)).toEqual([])
    }
  })

  describe('two images that share layers', () => {
    let other: BuiltImage
    let others: Planned

    beforeEach(async () => {
      other = buildImage({
        layers: [image.tars[0] as Uint8Array, image.tars[1] as Uint8Array, [file('own', 'layer')]],
        compression: ['gzip', 'none', 'gzip'],
      })
      await store(backend, other, 'example.com/other:1')
      others = planOf(other, { snapshotter: SNAPSHOTTER, reference: 'example.com/other:1' })
      await unpack({ backend, planned: others })
    })

    test("the shared layers carry the first one's labels, which is no fault of the second's", async () => {
      const report = await verify(others)
      expect(report).toMatchObject({ ok: true, state: 'ready' })
      expect(report.layers.map((layer) => layer.labelledFor)).toEqual([
        planned.plan.reference,
        planned.plan.reference,
        undefined,
      ])
      expect((await repairChain({ backend, planned: others })).decision.update).toEqual([])
    })

    test('a damaged label of a shared layer is found from both', async () => {
      await damageLabel(backend, planned.plan, {
        chainID: image.chainIDs[0] ?? '',
        key: 'containerd.io/snapshot/cri.image-ref',
        value: 'example.com/third:1',
      })
      expect((await verify()).ok).toBe(false)
      expect((await verify(others)).ok).toBe(false)
      expect((await repairChain({ backend, planned: others })).ok).toBe(true)
      // Each of the two is right with it.
      expect(await verify()).toMatchObject({ ok: true, layers: [{ labelledFor: 'example.com/other:1' }, {}, {}] })
    })

    test('what both stand on is made again for neither', async () => {
      writeFileSync(await content(image.chainIDs[0] ?? '', 'etc/stray'), '')
      await expect(repairChain({ backend, planned, deep: true })).rejects.toMatchObject({
        code: 'SNAPSHOT_IN_USE',
        detail: { users: [{ what: 'image', name: 'example.com/other:1' }] },
      })
    })

    test('all of a node are verified, each under the snapshotters that it is unpacked under', async () => {
      const alone = buildImage({ layers: [[file('nowhere')]] })
      await store(backend, alone, 'example.com/alone:1')
      const platform = { os: 'linux', architecture: 'riscv64' }
      const riscv = buildImage({ layers: [[file('riscv')]], platform })
      const { index, blobs } = buildIndex([{ image: riscv, platform }])
      await store(backend, { ...riscv, manifest: index, blobs }, 'example.com/foreign:1')
      await store(backend, other, `sha256:${'0'.repeat(64)}`)
      const options = { backend, signal: new AbortController().signal, deep: true, contents: true }
      const summary = ({ names, snapshotter, report, tree, error, otherPlatform }: VerifiedImage) => ({
        names,
        snapshotter,
        ...(report ? { ok: report.ok, state: report.state, tree: tree?.ok } : {}),
        ...(otherPlatform ? { otherPlatform } : error ? { error: error.code } : {}),
      })
      const found = (await all(verifyAll(options))).map(summary)
      const ready = { snapshotter: SNAPSHOTTER, ok: true, state: 'ready', tree: true }
      expect(found).toEqual([
        { names: ['example.com/alone:1'], snapshotter: undefined },
        { names: ['example.com/foreign:1'], snapshotter: undefined, otherPlatform: true },
        { names: ['example.com/other:1', `sha256:${'0'.repeat(64)}`], ...ready },
        { names: ['example.com/test:1'], ...ready },
      ])
      await backend.content.remove(other.manifest.digest)
      const under = (await all(verifyAll({ ...options, snapshotter: SNAPSHOTTER }))).map(summary)
      expect(under).toMatchObject([
        { names: ['example.com/alone:1'], ok: false, state: 'absent' },
        { otherPlatform: true },
        { error: 'BLOB_NOT_FOUND' },
        { ok: true },
      ])
    })
  })
})
