import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Digest } from '../../../functions/image/digest.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { dryRun } from '../../../functions/runner/unpack/dry-run.ts'
import type { ApplierChoice, UnpackEvent } from '../../../functions/runner/unpack/types.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { collect } from '../../support/collect.ts'
import { digestOf } from '../../support/images/image.ts'
import { writeDockerArchive, writeOciArchive, writeOciLayout } from '../../support/images/write.ts'
import { failure } from '../unpack/support/failure.ts'
import { removeChain } from '../unpack/support/stores.ts'
import {
  bereft,
  blobs,
  expectUntouched,
  expectWhole,
  origins,
  recompressed,
  removeLayers,
  storeUnpacked,
  temporary,
  UNCOMPRESSED,
  writeDamagedLayout,
} from './missing.ts'

export interface SuiteOptions {
  backend: () => Backend
  snapshotter: string
  appliers: readonly ApplierChoice[]
}

/** What every backend does about blobs that are required and not there. Mounts, so it needs root. */
export function missingBlobs({ backend: open, snapshotter, appliers }: SuiteOptions): void {
  let backend: Backend
  let place: Awaited<ReturnType<typeof temporary>>
  beforeAll(async () => {
    backend = open()
    place = await temporary()
  })
  afterAll(() => place?.remove())
  const label = async (digest: Digest) => (await backend.content.info(digest)).labels[UNCOMPRESSED]
  /** A blob that nothing refers to, and that no collector takes. */
  const put = async (data: Uint8Array, labels: Record<string, string> = {}) => {
    const blob = { digest: digestOf(data), size: data.length }
    await backend.content.write(blob, chunks(data), { ...labels, 'containerd.io/gc.root': '1' })
    return blob.digest
  }

  describe('another blob of the same diff ID', () => {
    for (const applier of appliers) {
      test(`stands in for the layer, whatever its compression, with the applier ${applier}`, async () => {
        const node = await bereft(backend, snapshotter)
        const other = recompressed(node.image, ['zstd', 'gzip', 'none'])
        await storeUnpacked(backend, other, `example.com/other-${applier}:${node.planned.plan.chainID.slice(7, 19)}`)
        const expected = other.layers.map(({ digest }) => ({ from: 'stand-in', digest }))

        const look = await dryRun({ backend, plan: node.planned.plan })
        expect(look.layers.map(({ blob }) => blob)).toEqual(
          expected.map((origin) => ({ need: 'required', there: false, origin })),
        )
        expect(look).toMatchObject({ missing: [], problems: [], ready: false })

        const events: UnpackEvent[] = []
        const { planned } = node
        const result = await unpack({ backend, planned, applier, onEvent: (event) => events.push(event) })
        expect(origins(result)).toEqual(expected)
        expect(result.warnings).toEqual([])
        expect(events.flatMap((event) => (event.type === 'origin' ? [event.origin] : []))).toEqual(expected)
        await expectWhole(backend, node)
        // The layers' own blobs stay away: what is there does.
        for (const { digest } of node.image.layers) expect(await blobs(backend)).not.toContain(digest)
      })
    }

    test('needs no label where it is the uncompressed layer itself, and has one afterwards', async () => {
      const node = await bereft(backend, snapshotter)
      const { image, planned } = node
      for (const n of [0, 2]) await put(image.tars[n] ?? new Uint8Array())
      await writeOciLayout(image, place.path('middle'), { ref: '1' })
      const result = await unpack({ backend, planned, blobs: { sources: [`oci:${place.path('middle')}`] } })
      expect(origins(result)).toMatchObject([
        { from: 'stand-in', digest: image.diffIDs[0] },
        // The middle layer is uncompressed in the image too, so that its diff ID is its own digest.
        { from: 'source' },
        { from: 'stand-in', digest: image.diffIDs[2] },
      ])
      expect(await label(image.diffIDs[2] as Digest)).toBe(image.diffIDs[2])
      await expectWhole(backend, node)
    })

    test('that lies about itself is found out by the diff ID, and the next offer is taken', async () => {
      const node = await bereft(backend, snapshotter)
      const { image, planned } = node
      const liar = recompressed(image, 'zstd')
      const liars: Digest[] = []
      for (const index of [0, 1, 2]) {
        // A good archive, but another layer's; bytes that are none; and a gzip that breaks off.
        const data = [
          liar.blobs.get(liar.layers[2]?.digest as Digest),
          new TextEncoder().encode(`no archive ${planned.plan.chainID}`.repeat(100)),
          Buffer.from(image.blobs.get(image.layers[0]?.digest as Digest) ?? []).subarray(0, -20),
        ][index]
        liars.push(await put(data ?? new Uint8Array(), { [UNCOMPRESSED]: image.diffIDs[index] ?? '' }))
      }
      const before = await blobs(backend)
      for (const applier of appliers) {
        const error = await failure(unpack({ backend, planned, applier }))
        expect(error).toMatchObject({ code: 'DIFF_ID_MISMATCH', exit: 5, detail: { blob: liars[0] } })
        expect(error.message).toContain(image.layers[0]?.digest)
        expect(error.fix).toContain('--source')
        await expectUntouched(backend, node, before)
      }

      await writeOciLayout(image, place.path('truth'), { ref: '1' })
      const sources = [`oci:${place.path('truth')}`]
      const result = await unpack({ backend, planned, blobs: { sources } })
      expect(origins(result)).toEqual(image.layers.map(() => ({ from: 'source', spec: sources[0] })))
      expect(result.warnings.map(({ code }) => code)).toEqual(['ORIGIN_REFUSED', 'ORIGIN_REFUSED', 'ORIGIN_REFUSED'])
      for (const [index, digest] of liars.entries()) expect(result.warnings[index]?.detail).toContain(digest)
      await expectWhole(backend, node)
    })

    test('that lies is passed over for one that does not', async () => {
      const node = await bereft(backend, snapshotter)
      const { image, planned } = node
      await storeUnpacked(backend, recompressed(image, 'zstd'), `example.com/true:${planned.plan.chainID.slice(7, 19)}`)
      const liar = new TextEncoder().encode(`${planned.plan.chainID} is no archive`.repeat(50))
      await put(liar, { [UNCOMPRESSED]: image.diffIDs[1] ?? '' })
      const result = await unpack({ backend, planned })
      // The store lists the two in the order of their digests: whichever came first, the true one was taken.
      expect(origins(result).map((origin) => (origin as { from: string }).from)).toEqual([
        'stand-in',
        'stand-in',
        'stand-in',
      ])
      expect(origins(result)[1]).not.toMatchObject({ digest: digestOf(liar) })
      await backend.content.remove(digestOf(liar))
      await expectWhole(backend, node)
    })
  })

  describe('a source that the user names', () => {
    test('of every kind gives the layers, its own blobs or others of the same diff ID', async () => {
      const node = await bereft(backend, snapshotter)
      const { image, planned } = node
      const zstd = recompressed(image, 'zstd')
      await writeOciLayout(image, place.path('layout'), { ref: '1' })
      await writeOciArchive(image, place.path('oci.tar'), { ref: '1' })
      await writeDockerArchive(image, place.path('docker.tar'), { tags: ['example.com/x:1'] })
      await writeOciLayout(zstd, place.path('zstd'), { ref: '1' })
      const before = await blobs(backend)
      for (const [spec, others] of [
        [`oci:${place.path('layout')}`, undefined],
        [`oci-archive:${place.path('oci.tar')}`, undefined],
        [`docker-archive:${place.path('docker.tar')}`, image.diffIDs],
        [`oci:${place.path('zstd')}:1`, zstd.layers.map(({ digest }) => digest)],
      ] as const) {
        const found = image.layers.map(({ digest }, index) => {
          const other = others?.[index]
          const own = other === undefined || other === digest
          return own ? { from: 'source', spec } : { from: 'source', spec, digest: other }
        })
        const look = await dryRun({ backend, plan: planned.plan, blobs: { sources: [spec] } })
        expect(look.layers.map(({ blob }) => blob.origin)).toEqual(found)
        expect(look.missing).toEqual([])
        await expectUntouched(backend, node, before)

        const result = await unpack({ backend, planned, blobs: { sources: [spec] } })
        expect(origins(result)).toEqual(found)
        expect(result.warnings).toEqual([])
        await expectWhole(backend, node)
        await takeAway(backend, node, before)
      }
    })

    test('keeps what it fetched as a pull would: the blobs of the image stay, with what they uncompress to', async () => {
      const node = await bereft(backend, snapshotter)
      const { image, planned } = node
      await writeOciLayout(image, place.path('kept'))
      await unpack({ backend, planned, blobs: { sources: [`oci:${place.path('kept')}`] } })
      for (const [index, { digest }] of image.layers.entries()) expect(await label(digest)).toBe(image.diffIDs[index])
      await removeLayers(backend, image)
    })

    test('is not even opened where nothing is missing', async () => {
      const node = await bereft(backend, snapshotter)
      const { image, planned } = node
      await writeOciLayout(image, place.path('once'))
      await unpack({ backend, planned, blobs: { sources: [`oci:${place.path('once')}`] } })
      const sources = [`oci:${place.path('nowhere')}`, 'docker://127.0.0.1:1/none:1', 'registry']
      expect(await unpack({ backend, planned, blobs: { sources } })).toMatchObject({ ready: true, warnings: [] })
    })

    test('that is spelt wrongly is refused, needed or not', async () => {
      const { planned } = await bereft(backend, snapshotter)
      for (const spec of ['oci', 'docker:nginx', 'tar:x.tar', '', 'Registry']) {
        expect(await failure(unpack({ backend, planned, blobs: { sources: [spec] } }))).toMatchObject({
          code: 'SOURCE_INVALID',
          exit: 2,
        })
      }
    })

    test('with wrong content is refused and leaves nothing; the next one is asked', async () => {
      const node = await bereft(backend, snapshotter)
      const { image, planned } = node
      const before = await blobs(backend)
      await writeDamagedLayout(image, place.path('damaged'), image.layers[1]?.digest as Digest)
      const damaged = `oci:${place.path('damaged')}`
      const error = await failure(unpack({ backend, planned, blobs: { sources: [damaged] } }))
      expect(error).toMatchObject({ code: 'DIGEST_MISMATCH', exit: 5 })
      expect(error.message).toContain(image.layers[1]?.digest)
      // What was good of it belongs to the image and may stay.
      await removeIfThere(backend, [image.layers[0]?.digest, image.layers[2]?.digest] as Digest[])
      await expectUntouched(backend, node, before)

      await writeOciLayout(image, place.path('good'))
      const good = `oci:${place.path('good')}`
      const result = await unpack({ backend, planned, blobs: { sources: [damaged, good] } })
      expect(origins(result)).toEqual([damaged, good, damaged].map((spec) => ({ from: 'source', spec })))
      expect(result.warnings).toMatchObject([{ code: 'ORIGIN_REFUSED' }])
      await expectWhole(backend, node)
    })

    test('whose image claims diff IDs that its layers do not come to is found out', async () => {
      const node = await bereft(backend, snapshotter)
      const { image, planned } = node
      // Its config says that its layers are ours; they are another image's, in good blobs.
      const foreign = recompressed({ ...image, tars: image.tars.toReversed() }, 'zstd')
      const config = JSON.parse(new TextDecoder().decode(foreign.configBytes)) as { rootfs: { diff_ids: unknown } }
      config.rootfs.diff_ids = image.diffIDs
      await writeOciLayout(reconfigured(foreign, config), place.path('claims'))
      const before = await blobs(backend)
      for (const applier of appliers) {
        const error = await failure(
          unpack({ backend, planned, applier, blobs: { sources: [`oci:${place.path('claims')}`] } }),
        )
        expect(error).toMatchObject({ code: 'DIFF_ID_MISMATCH', exit: 5 })
        await expectUntouched(backend, node, before)
      }
    })
  })

  describe('with no provider at all', () => {
    test('everything that is missing is named at once, before anything is touched', async () => {
      const node = await bereft(backend, snapshotter)
      const { image, planned } = node
      const before = await blobs(backend)
      await writeFile(place.path('file'), 'no archive')
      const digests = image.layers.map(({ digest }) => digest)
      const sources = [`oci:${place.path('absent')}`, `docker-archive:${place.path('file')}`, 'registry']
      for (const blobWays of [{}, { sources }]) {
        const calls: UnpackEvent[] = []
        const error = await failure(
          unpack({ backend, planned, blobs: blobWays, onEvent: (event) => calls.push(event) }),
        )
        expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3, detail: { digests } })
        for (const digest of digests) expect(error.message).toContain(digest)
        for (const option of ['--source oci:DIR', '--source registry', '--from-snapshotter']) {
          expect(error.fix).toContain(option)
        }
        // Each source that does not help is told, with its reason.
        for (const spec of 'sources' in blobWays ? sources.slice(0, 2) : []) expect(error.message).toContain(spec)
        expect(calls).toEqual([])
        await expectUntouched(backend, node, before)
        const look = await dryRun({ backend, plan: planned.plan, blobs: blobWays })
        expect(look.missing).toEqual(digests)
        expect(look.problems).toHaveLength('sources' in blobWays ? 3 : 0)
      }
    })

    test('a source that has some of them leaves the others to be named', async () => {
      const node = await bereft(backend, snapshotter)
      const { image, planned } = node
      const [first, second, third] = image.layers
      const part = { ...image, blobs: new Map(image.blobs) }
      part.blobs.delete(second?.digest as Digest)
      await writeOciLayout(part, place.path('part'))
      // Nothing says that the third is there: it is a stand-in's turn before the source's.
      const error = await failure(unpack({ backend, planned, blobs: { sources: [`oci:${place.path('part')}`] } }))
      expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', detail: { digests: [second?.digest] } })
      expect(error.message).not.toContain(first?.digest)
      expect(error.message).not.toContain(third?.digest)
    })
  })
}

async function* chunks(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}

async function takeAway(backend: Backend, node: Awaited<ReturnType<typeof bereft>>, kept: readonly string[]) {
  await removeChain(backend, node.image, node.planned.plan.snapshotter)
  await removeIfThere(backend, (await blobs(backend)).filter((digest) => !kept.includes(digest)) as Digest[])
}

async function removeIfThere(backend: Backend, digests: readonly Digest[]): Promise<void> {
  const there = await blobs(backend)
  for (const digest of digests) if (there.includes(digest)) await backend.content.remove(digest)
  await collect(backend)
}

/** The image with another config. */
function reconfigured(image: ReturnType<typeof recompressed>, config: unknown): ReturnType<typeof recompressed> {
  const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
  const configBytes = encode(config)
  const newConfig = { ...image.config, digest: digestOf(configBytes), size: configBytes.length }
  const manifest = JSON.parse(new TextDecoder().decode(image.manifestBytes)) as object
  const manifestBytes = encode({ ...manifest, config: newConfig })
  const newManifest = { ...image.manifest, digest: digestOf(manifestBytes), size: manifestBytes.length }
  const all = new Map(image.blobs).set(newConfig.digest, configBytes).set(newManifest.digest, manifestBytes)
  return { ...image, config: newConfig, configBytes, manifest: newManifest, manifestBytes, blobs: all }
}
