import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BEFORE_LABELS } from '../support/containerd/versions.ts'
import type { BuiltImage } from '../support/images/image.ts'
import { LAYERED_FILES, layeredImage, pauseImage } from '../support/images/running.ts'
import { lacking } from './support/lacking.ts'
import { PAUSE, startNode, type TestNode } from './support/node.ts'

/** How long a pod that cannot start is watched. */
const STRAIGHT_MS = 10_000
const END_MS = 120_000

for (const version of ['1.7', BEFORE_LABELS] as const) {
  const missing = await lacking(version)
  const reason = missing === '' ? '' : ` (skipped: ${missing})`
  const hasErofs = version === BEFORE_LABELS
  const handlers = { kata: 'nydus', ...(hasErofs ? { erofs: 'erofs' } : {}) }

  describe.skipIf(missing !== '')(`a kubelet on containerd ${version}${reason}`, () => {
    describe('through the CRI proxy', () => {
      let node: TestNode
      beforeAll(async () => {
        node = await startNode(version, { proxied: true, handlers, nydus: true })
      })
      afterAll(() => node?.stop())

      test.skipIf(!hasErofs)('a pod of RuntimeClass erofs runs to its end, with its files and labels', async () => {
        const image = layeredImage('through')
        const { name } = await node.bring(image, 'example.com/through')
        expect(await node.chain(image, name, 'erofs')).toEqual(allOf(image, 'missing'))
        await node.createPod('through', name, 'erofs')
        const phase = await node.phase('through', END_MS)
        expect({ phase, events: await node.events('through') }).toMatchObject({ phase: 'Succeeded' })
        expect((await node.output('through')).match(/^[a-z]+$/gm)).toEqual(LAYERED_FILES)
        expect(await node.chain(image, name, 'erofs')).toEqual(allOf(image, 'labelled'))
        expect(await node.chain(pauseImage(), PAUSE, 'erofs')).toEqual(allOf(pauseImage(), 'labelled'))
      })

      test('the sandbox of a guest has its layers labelled; what fails is its runtime, which is not here', async () => {
        const { name } = await node.bring(layeredImage('guest'), 'example.com/guest')
        await node.createPod('guest', name, 'kata')
        await expect
          .poll(() => node.events('guest'), { timeout: END_MS, interval: 500 })
          .toContainEqual(expect.stringMatching(/^FailedCreatePodSandBox: .*containerd-shim-kata-v2/s))
        expect(await node.chain(pauseImage(), PAUSE, 'nydus')).toEqual(allOf(pauseImage(), 'labelled'))
        expect(await node.phase('guest', 0)).toBe('Pending')
      })
    })

    describe('straight to containerd', () => {
      let node: TestNode
      beforeAll(async () => {
        node = await startNode(version, { proxied: false, handlers, nydus: true })
      })
      afterAll(() => node?.stop())

      test.skipIf(!hasErofs)('the same pod of RuntimeClass erofs stays pending', async () => {
        const image = layeredImage('straight')
        const { name } = await node.bring(image, 'example.com/straight')
        await node.createPod('straight', name, 'erofs')
        // containerd unpacks without labels: the sandbox's one layer it can, a whole image it cannot.
        await expect
          .poll(() => node.events('straight'), { timeout: END_MS, interval: 500 })
          .toContainEqual(expect.stringMatching(/^Failed: .*error unpacking image/s))
        expect(await node.phase('straight', STRAIGHT_MS)).toBe('Pending')
        expect(await node.chain(pauseImage(), PAUSE, 'erofs')).toEqual(allOf(pauseImage(), 'unlabelled'))
        const chain = await node.chain(image, name, 'erofs')
        expect(chain).toContain('missing')
        expect(chain).not.toContain('labelled')
      })

      // What nydus hands out to extract into is mounted by a helper of its own, which is not here: so no layer is left unlabelled.
      test('for the same guest containerd extracts layers itself, without labels', async () => {
        const { name } = await node.bring(layeredImage('guest'), 'example.com/guest')
        await node.createPod('guest', name, 'kata')
        await expect
          .poll(() => node.events('guest'), { timeout: END_MS, interval: 500 })
          .toContainEqual(expect.stringMatching(/^FailedCreatePodSandBox: .*failed to extract layer/s))
        expect(await node.chain(pauseImage(), PAUSE, 'nydus')).toEqual(allOf(pauseImage(), 'missing'))
      })
    })
  })
}

function allOf<T>(image: BuiltImage, state: T): T[] {
  return image.layers.map(() => state)
}
