import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unpack } from '../../../functions/runner/unpack/index.ts'
import { verifyChain } from '../../../functions/runner/verify/index.ts'
import { compareLabels, isSame } from '../../../functions/runner/verify/labels.ts'
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
    await unpack({ backend: watched(box.backend, image).backend, planned: { plan, ...planned } })
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

  test("tells a label of ours that the plan does not have, and leaves others' alone", async () => {
    const snapshotter = box.backend.snapshotter(SNAPSHOTTER)
    const key = 'containerd.io/snapshot/nydus-blob'
    const chainID = plan.layers[1]?.chainID ?? ''
    await snapshotter.update(chainID, { [key]: 'true', 'example.com/mine': '1' })
    expect((await verify()).layers[1]?.problems).toEqual([{ code: 'LABEL_EXTRA', key, actual: 'true' }])
    await snapshotter.update(chainID, { [key]: '' })
    expect((await verify()).ok).toBe(true)
  })

  test.each(['remote', 'stargz', 'nydus-proxy-mode', 'overlaybd.localcommitpath', 'pullsecret'])(
    'takes the label %s, which a snapshotter writes by itself, for no difference',
    async (name) => {
      const snapshotter = box.backend.snapshotter(SNAPSHOTTER)
      const chainID = plan.layers[1]?.chainID ?? ''
      await snapshotter.update(chainID, { [`containerd.io/snapshot/${name}`]: 'by itself' })
      expect(await verify()).toMatchObject({ ok: true, state: 'ready' })
      await snapshotter.update(chainID, { [`containerd.io/snapshot/${name}`]: '' })
    },
  )

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
    fc.constantFrom('containerd.io/snapshot.ref', 'containerd.io/snapshot/a', 'containerd.io/snapshot/b'),
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
      expect(isSame(compareLabels(expected, actual))).toBe(same)
    }),
  )
})
