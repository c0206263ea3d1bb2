import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { BEFORE_LABELS } from '../support/containerd/versions.ts'
import type { BuiltImage } from '../support/images/image.ts'
import { LAYERED_FILES, layeredImage, pauseImage } from '../support/images/running.ts'
import { lacking } from './support/lacking.ts'
import { PAUSE, startNode, type TestNode } from './support/node.ts'

/** What becomes of the images between two days of the same pods. */
interface Damage {
  snapshots: 'all' | 'the upper ones' | 'none'
  blobs: 'stay' | 'go' | 'go, and are imported again'
}
const ROUNDS: Damage[] = [
  { snapshots: 'all', blobs: 'stay' },
  { snapshots: 'the upper ones', blobs: 'stay' },
  { snapshots: 'none', blobs: 'go' },
  { snapshots: 'none', blobs: 'go, and are imported again' },
  { snapshots: 'the upper ones', blobs: 'go, and are imported again' },
  { snapshots: 'all', blobs: 'go, and are imported again' },
]
const SNAPSHOTTERS = { '1.7': 'native', [BEFORE_LABELS]: 'erofs' } as const
const HANDLER = 'other'
const PODS = ['first', 'second']
const END_MS = 120_000

for (const version of ['1.7', BEFORE_LABELS] as const) {
  const snapshotter = SNAPSHOTTERS[version]
  const missing = await lacking(version)
  const reason = missing === '' ? '' : ` (skipped: ${missing})`

  describe.skipIf(missing !== '')(`days of a kubelet, a CRI proxy and containerd ${version}${reason}`, () => {
    let node: TestNode
    const images = new Map<string, { image: BuiltImage; name: string; archive: string }>()

    beforeAll(async () => {
      node = await startNode(version, { proxied: true, handlers: { [HANDLER]: snapshotter }, nydus: false })
      for (const pod of PODS) {
        const image = layeredImage(`endurance ${pod}`)
        images.set(pod, { image, ...(await node.bring(image, `example.com/${pod}`)) })
      }
    })
    afterAll(() => node?.stop())

    /** Leaves so many layers of the chain, once the garbage collector has been through. */
    async function leave(image: BuiltImage, layers: number): Promise<void> {
      await node.backend.content.label(image.config.digest, {
        [`containerd.io/gc.ref.snapshot.${snapshotter}`]: image.chainIDs[layers - 1] ?? '',
      })
      await collect(node.backend)
    }

    /** All layers' blobs of all images; some are of several. */
    async function removeBlobs(): Promise<void> {
      const layers = [...images.values()].flatMap(({ image }) => image.layers)
      for (const digest of new Set(layers.map((layer) => layer.digest))) await node.backend.content.remove(digest)
    }

    async function importAgain(): Promise<void> {
      for (const { name, archive } of images.values()) {
        await node.containerd.importArchive(archive, { baseName: name.replace(/:1$/, '') })
      }
    }

    async function runAll(): Promise<void> {
      for (const [pod, { name }] of images) await node.createPod(pod, name, HANDLER)
      for (const [pod, { image, name }] of images) {
        const phase = await node.phase(pod, END_MS)
        expect({ phase, events: await node.events(pod), proxy: node.proxy?.log() }).toMatchObject({
          phase: 'Succeeded',
        })
        expect((await node.output(pod)).match(/^[a-z]+$/gm)).toEqual(LAYERED_FILES)
        expect(await node.chain(image, name, snapshotter)).toEqual(image.layers.map(() => 'labelled'))
      }
      expect(await node.chain(pauseImage(), PAUSE, snapshotter)).toEqual(['labelled'])
    }

    test(`${snapshotter}: the same pods run to their end after each`, async () => {
      await runAll()
      for (const round of ROUNDS) {
        await node.deletePods(PODS)
        for (const { image, name } of images.values()) {
          const left = { all: 0, 'the upper ones': 2, none: image.layers.length }[round.snapshots]
          await leave(image, left)
          const states = image.layers.map((_, n) => (n < left ? 'labelled' : 'missing'))
          expect({ round, states: await node.chain(image, name, snapshotter) }).toEqual({ round, states })
        }
        if (round.snapshots === 'all') await leave(pauseImage(), 0)
        if (round.blobs !== 'stay') await removeBlobs()
        if (round.blobs === 'go, and are imported again') await importAgain()
        await runAll()
        if (round.blobs === 'go') await importAgain()
      }
      // Where the blobs are all there, every file is looked at.
      for (const { name } of images.values()) {
        const verified = await node.containerd.layercast('verify', name, '-s', snapshotter, '--deep')
        expect(verified).toMatchObject({ status: 0 })
      }
    })
  })
}
