import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { NodeState } from '../../functions/cri-proxy/node-state.ts'
import { Readiness } from '../../functions/cri-proxy/readiness.ts'
import type { Backend } from '../../functions/node/ports.ts'
import { verifyChain } from '../../functions/runner/verify/verify.ts'
import { smallImage } from '../runner/unpack/support/images.ts'
import { intercept } from '../runner/unpack/support/intercept.ts'
import { planOf } from '../runner/unpack/support/plans.ts'
import { sandbox, type Sandbox } from '../runner/unpack/support/sandbox.ts'
import { leftovers, removeChain } from '../runner/unpack/support/stores.ts'

const SNAPSHOTTER = 'overlayfs'
const image = smallImage()
const planned = planOf(image, { snapshotter: SNAPSHOTTER })
const GC_LABEL = `containerd.io/gc.ref.snapshot.${SNAPSHOTTER}`

// Layers are written as root.
describe.skipIf(process.getuid?.() !== 0)('a chain that a call needs', () => {
  let box: Sandbox
  let calls: string[]
  beforeEach(async () => {
    box = await sandbox(image)
    calls = []
  })
  afterEach(() => box.close())

  function readiness(signal = new AbortController().signal): Readiness {
    const backend: Backend = intercept(box.backend, async ({ name }, goOn) => {
      calls.push(name)
      return await goOn()
    })
    const node = {
      run: <T>(work: (backend: Backend) => Promise<T>) => work(backend),
      snapshotterOf: () => Promise.resolve({ snapshotter: SNAPSHOTTER, isDefault: false }),
      planOf: () => Promise.resolve(planned),
    }
    return new Readiness(node as unknown as NodeState, signal)
  }
  const isRight = async (): Promise<boolean> =>
    (await verifyChain({ backend: box.backend, plan: planned.plan })).ok &&
    (await leftovers(box.backend, SNAPSHOTTER)).length === 0

  test('is made once for all that wait, and costs one Stat from then on', async () => {
    const ready = readiness()
    const all = await Promise.all(Array.from({ length: 20 }, () => ready.ensure('x', 'a')))
    expect(all.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 20 }, () => 'unpacked'))
    expect(calls.filter((name) => name === 'snapshotter.commit')).toHaveLength(image.layers.length)
    expect(await isRight()).toBe(true)
    calls = []
    expect(await ready.ensure('x', 'a')).toMatchObject({ outcome: 'ready' })
    expect(calls).toEqual(['snapshotter.stat'])
  })

  test('that a killed process left whole, with nothing that keeps it, is kept', async () => {
    await readiness().ensure('x', 'a')
    await box.backend.content.label(image.config.digest, { [GC_LABEL]: '' })
    expect(await isRight()).toBe(false)
    expect(await readiness().ensure('x', 'a')).toMatchObject({ outcome: 'unpacked', why: 'nothing kept the chain' })
    expect(await isRight()).toBe(true)
    expect(await readiness().ensure('x', 'a')).toMatchObject({ outcome: 'ready' })
  })

  test('that was removed and made again by another is looked at again', async () => {
    const ready = readiness()
    await ready.ensure('x', 'a')
    await removeChain(box.backend, image, SNAPSHOTTER)
    await readiness().ensure('x', 'a')
    await box.backend.content.label(image.config.digest, { [GC_LABEL]: '' })
    expect(await ready.ensure('x', 'a')).toMatchObject({ outcome: 'unpacked' })
    expect(await isRight()).toBe(true)
  })

  test('is removed again where the proxy ends in the middle, before it counts as idle', async () => {
    const end = new AbortController()
    const ready = readiness(end.signal)
    const making = ready.ensure('x', 'a').catch((error: unknown) => error)
    await expect.poll(() => calls.includes('snapshotter.prepare'), { interval: 1 }).toBe(true)
    end.abort(new Error('the proxy has ended'))
    await ready.idle()
    expect(await leftovers(box.backend, SNAPSHOTTER)).toEqual([])
    expect(ready.pending).toBe(0)
    await making
  })
})
