import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SnapshotInfo } from '../../../functions/node/ports.ts'
import { profileNamed, PROFILES } from '../../../functions/plan/profiles.ts'
import { compareLabels, isSame, unplannedLabels } from '../../../functions/runner/chain/labels.ts'
import { countLazy, warnNothingLazy } from '../../../functions/runner/chain/lazy.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { smallImage } from '../unpack/support/images.ts'
import { planOf } from '../unpack/support/plans.ts'
import { sandbox, watched, type Sandbox } from '../unpack/support/sandbox.ts'

const SNAPSHOTTER = 'overlayfs'
const GC = `containerd.io/gc.ref.snapshot.${SNAPSHOTTER}`
const image = smallImage()
const { plan, ...planned } = planOf(image, { snapshotter: SNAPSHOTTER })

describe('verifyChain', () => {
  let box: Sandbox
  const verify = () => verifyChain({ backend: box.backend, plan })

  beforeAll(async () => {
    box = await sandbox(image)
    await unpack({ ...watched(box.backend, image), planned: { plan, ...planned } })
  })
  afterAll(() => box.close())

  test('finds nothing wrong with what an unpack made', async () => {
    expect(await verify()).toMatchObject({ ok: true, chainID: plan.chainID, snapshotter: SNAPSHOTTER })
  })

  test('finds every single label that is damaged or dropped, and names it with its layer', async () => {
    const snapshotter = box.backend.snapshotter(SNAPSHOTTER)
    for (const [index, layer] of plan.layers.entries()) {
      for (const [key, expected] of Object.entries(layer.labels)) {
        for (const [value, problem] of [
          ['', { code: 'LABEL_MISSING', key, expected }],
          [`${expected}x`, { code: 'LABEL_DIFFERENT', key, expected, actual: `${expected}x` }],
        ] as const) {
          await snapshotter.update(layer.chainID, { [key]: value })
          const report = await verify()
          expect(report.ok).toBe(false)
          expect(report.layers.map((each) => each.problems)).toEqual(
            plan.layers.map((_, n) => (n === index ? [problem] : [])),
          )
          await snapshotter.update(layer.chainID, { [key]: expected })
        }
      }
    }
    expect((await verify()).ok).toBe(true)
  })

  test('tells a label that plans write by themselves and this one does not', async () => {
    const snapshotter = box.backend.snapshotter(SNAPSHOTTER)
    const key = 'containerd.io/snapshot/parent-chain-id'
    const chainID = plan.layers[0]?.chainID ?? ''
    await snapshotter.update(chainID, { [key]: chainID })
    expect((await verify()).layers[0]?.problems).toEqual([{ code: 'LABEL_EXTRA', key, actual: chainID }])
    await snapshotter.update(chainID, { [key]: '' })
    expect((await verify()).ok).toBe(true)
  })

  test.each(['remote', 'remote/namespace', 'nydus-blob', 'overlaybd.localcommitpath', 'a-newer-snapshotters-own'])(
    'tells the label %s, which no plan writes, and takes it for no fault; others’ labels it passes over',
    async (name) => {
      const snapshotter = box.backend.snapshotter(SNAPSHOTTER)
      const chainID = plan.layers[1]?.chainID ?? ''
      const key = `containerd.io/snapshot/${name}`
      await snapshotter.update(chainID, { [key]: 'by itself', 'example.com/mine': '1' })
      const report = await verify()
      expect(report).toMatchObject({ ok: true, state: 'ready' })
      expect(report.layers.map(({ unplanned }) => unplanned)).toEqual([undefined, [key], undefined])
      await snapshotter.update(chainID, { [key]: '' })
    },
  )

  test('says nothing of lazy layers under a local snapshotter', async () => {
    expect((await verify()).lazy).toBeUndefined()
    expect((await verify()).warnings).toEqual([])
  })

  test('tells a gc label that is missing or refers elsewhere, and a config that is gone', async () => {
    const { digest } = image.config
    await box.backend.content.label(digest, { [GC]: '' })
    const missing = { code: 'GC_LABEL_MISSING', key: GC, expected: plan.chainID }
    expect((await verify()).config.problems).toEqual([missing])
    await box.backend.content.label(digest, { [GC]: 'elsewhere' })
    expect((await verify()).config.problems).toEqual([{ ...missing, code: 'GC_LABEL_DIFFERENT', actual: 'elsewhere' }])
    await box.backend.content.label(digest, { [GC]: plan.chainID })
    const absent = { ...plan, config: { ...plan.config, digest: image.layers[0]?.digest ?? plan.config.digest } }
    const report = await verifyChain({ backend: box.backend, plan: absent })
    expect(report.config.problems).toMatchObject([{ code: 'GC_LABEL_MISSING' }])
  })

  test('tells a snapshot that is not there, one that is not committed, and one on another parent', async () => {
    const [first, second, third] = plan.layers
    if (!first || !second || !third) throw new Error('the image has three layers')
    await box.backend.snapshotter(SNAPSHOTTER).prepare('active', first.chainID, {})
    const name = (chainID: string) => chainID as typeof first.chainID
    const odd = {
      ...plan,
      layers: [
        { ...first, chainID: name('nosuch') },
        { ...second, chainID: name('active'), labels: {} },
        { ...third, parent: first.chainID },
      ],
    }
    const report = await verifyChain({ backend: box.backend, plan: odd })
    expect(report.layers.map((layer) => layer.problems)).toEqual([
      [{ code: 'SNAPSHOT_MISSING' }],
      [{ code: 'KIND_WRONG', actual: 'active' }],
      [{ code: 'PARENT_WRONG', expected: first.chainID, actual: second.chainID }],
    ])
    await box.backend.snapshotter(SNAPSHOTTER).remove('active')
  })

  test('of a plan of no layers asks for nothing', async () => {
    const report = await verifyChain({ backend: box.backend, plan: { ...plan, layers: [], chainID: '' } })
    expect(report).toMatchObject({ ok: true, layers: [], config: { problems: [] } })
  })
})

test('labels are the same exactly where a store that drops empty values would hold the same', () => {
  const labels = fc.dictionary(
    fc.constantFrom(
      'containerd.io/snapshot.ref',
      'containerd.io/snapshot/diff-id',
      'containerd.io/snapshot/cri.image-ref',
    ),
    fc.constantFrom('', 'x', 'y'),
    { noNullPrototype: true },
  )
  const stored = (all: Record<string, string>) =>
    Object.entries(all)
      .filter(([, value]) => value !== '')
      .sort()
  fc.assert(
    fc.property(labels, labels, (expected, actual) => {
      const same = JSON.stringify(stored(expected)) === JSON.stringify(stored(actual))
      expect(isSame(compareLabels(expected, actual, []))).toBe(same)
    }),
  )
})

describe('of a profile whose snapshotter writes labels', () => {
  const { writes } = profileNamed('soci')
  const own = 'containerd.io/snapshot/remote/has.soci.index.digest'

  test('they are no difference and nothing to tell, not even where the image has an annotation of that name', () => {
    expect(unplannedLabels({}, { [own]: 'true' }, writes)).toEqual([])
    expect(isSame(compareLabels({ [own]: 'false' }, { [own]: 'true' }, writes))).toBe(true)
    expect(isSame(compareLabels({ [own]: 'false' }, {}, writes))).toBe(true)
  })

  test.each(PROFILES.map((profile) => [profile.name, profile] as const))('%s: each of them', (_, profile) => {
    const found = Object.fromEntries(profile.writes.map((key) => [key, 'x']))
    expect(unplannedLabels({}, found, profile.writes)).toEqual([])
    expect(isSame(compareLabels({}, found, profile.writes))).toBe(true)
  })
})

describe('lazy layers', () => {
  const info = (labels: Record<string, string>) => ({ labels }) as SnapshotInfo
  const remote = info({ 'containerd.io/snapshot/remote': 'remote snapshot' })
  const local = info({ 'containerd.io/snapshot/remote/has.soci.index.digest': 'true' })
  const under = (profile: string) => ({ ...plan, snapshotter: profile, profile })

  test.each([
    ['stargz', [remote, remote, remote], { layers: 3, of: 3 }, false],
    ['stargz', [remote, local, local], { layers: 1, of: 3 }, false],
    ['soci', [local, local, local], { layers: 0, of: 3 }, true],
    // Not all there: what they are to be is not decided.
    ['soci', [local, local, undefined], { layers: 0, of: 3 }, false],
    ['overlayfs', [remote, remote, remote], undefined, false],
    ['generic', [local, local, local], undefined, false],
    ['generic', [local, local, remote], { layers: 1, of: 3 }, false],
    ['nydus', [local, local, local], { layers: 0, of: 3 }, true],
    ['nydus-tarfs', [local, local, local], undefined, false],
  ] as const)('%s, case %#', (profile, infos, lazy, warned) => {
    expect(countLazy(under(profile), infos)).toEqual(lazy)
    expect(warnNothingLazy(under(profile), infos).map(({ code }) => code)).toEqual(warned ? ['NOTHING_LAZY'] : [])
  })

  test('soci is said to remember', () => {
    expect(warnNothingLazy(under('soci'), [local, local, local])[0]?.detail).toMatch(/restart it/)
  })
})
