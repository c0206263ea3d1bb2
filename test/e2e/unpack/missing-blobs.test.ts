import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { findImage } from '../../../functions/runner/images/find.ts'
import { dryRun } from '../../../functions/runner/unpack/dry-run.ts'
import type { UnpackEvent } from '../../../functions/runner/unpack/types.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { bereft, blobs, expectUntouched, expectWhole, origins, UNCOMPRESSED } from '../../runner/blobs/missing.ts'
import { missingBlobs } from '../../runner/blobs/suite.ts'
import {
  ACCOUNT,
  push,
  registryProgram,
  startRegistry,
  type Peer,
} from '../../runner/sources/support/registry-daemon.ts'
import { failure } from '../../runner/unpack/support/failure.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers, removeChain } from '../../runner/unpack/support/stores.ts'
import { treeOf } from '../../runner/unpack/support/tree.ts'
import { collect } from '../../support/collect.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { writeOciLayout } from '../../support/images/write.ts'

await describeContainerd('missing blobs', (version) => {
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-missing-'))
    containerd = await startContainerd({ version })
    backend = await containerd.connect()
  })
  afterAll(async () => {
    await containerd?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  missingBlobs({ backend: () => backend, snapshotter: 'native', appliers: ['containerd', 'own'] })

  test('a refused source leaves no half-written blob either', async () => {
    expect((await containerd.ctr('content', 'active')).trim().split('\n')).toHaveLength(1)
  })

  const why = registryProgram === undefined ? ' (skipped: docker-registry is not installed)' : ''
  describe.skipIf(why !== '')(`a registry that wants an account${why}`, () => {
    let peer: Peer
    let before: string | undefined
    beforeAll(async () => {
      peer = await startRegistry({ account: true })
    })
    afterAll(() => peer?.close())
    beforeEach(async () => {
      before = process.env['DOCKER_CONFIG']
      process.env['DOCKER_CONFIG'] = directory
      const auth = Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64')
      await writeFile(join(directory, 'config.json'), JSON.stringify({ auths: { [peer.host]: { auth } } }))
    })
    afterEach(() => {
      if (before === undefined) delete process.env['DOCKER_CONFIG']
      else process.env['DOCKER_CONFIG'] = before
    })

    test("gives the layers with the credentials of docker's config.json, and the blobs say where they came from", async () => {
      const node = await bereft(backend, 'native')
      const { image, planned } = node
      await push(peer.host, image, 'team/app', '1')
      const spec = `docker://${peer.host}/team/app:1`
      const result = await unpack({ backend, planned, blobs: { sources: [spec] } })
      expect(origins(result)).toEqual(image.layers.map(() => ({ from: 'source', spec })))
      await expectWhole(backend, node)
      for (const { digest } of image.layers) {
        const { labels } = await backend.content.info(digest)
        expect(labels['containerd.io/distribution.source.127.0.0.1']).toBe('team/app')
      }
    })

    test("is found by the blobs' own labels where the user says registry", async () => {
      // The label has no port: the image's name has it.
      const node = await bereft(backend, 'native', `${peer.host}/team/labelled:1`)
      const { image, planned } = node
      await push(peer.host, image, 'team/labelled', '1')
      // Two repositories, of which only one is: as a blob has them that came with several images.
      const label = { 'containerd.io/distribution.source.127.0.0.1': 'team/gone,team/labelled' }
      await backend.content.label(image.manifest.digest, label)
      const spec = `docker://${peer.host}/team/labelled@${image.manifest.digest}`
      const look = await dryRun({ backend, plan: planned.plan, blobs: { sources: ['registry'] } })
      expect(look.layers.map(({ blob }) => blob.origin)).toEqual(image.layers.map(() => ({ from: 'source', spec })))
      const result = await unpack({ backend, planned, blobs: { sources: ['registry'] } })
      expect(origins(result)).toEqual(image.layers.map(() => ({ from: 'source', spec })))
      // The other one is not passed over in silence.
      expect(result.warnings).toMatchObject([{ code: 'ORIGIN_REFUSED' }])
      expect(result.warnings[0]?.detail).toContain('team/gone')
      await expectWhole(backend, node)
    })

    test('heals a manifest and a config too, where their labels say where they came from', async () => {
      const reference = `${peer.host}/team/healed:1`
      const { image } = await bereft(backend, 'native', reference)
      await push(peer.host, image, 'team/healed', '1')
      const label = { 'containerd.io/distribution.source.127.0.0.1': 'team/healed' }
      for (const { digest } of [image.manifest, image.config]) {
        await backend.content.label(digest, label)
        const store = 'root/io.containerd.content.v1.content/blobs'
        await writeFile(join(containerd.directory, store, digest.replace(':', '/')), '{}')
      }
      const platform = 'linux/amd64'
      expect(await failure(findImage(backend, reference, { platform }))).toMatchObject({ code: 'DIGEST_MISMATCH' })
      const found = await findImage(backend, reference, { platform, sources: ['registry'] })
      expect(Buffer.compare(found.config, image.configBytes)).toBe(0)
      expect(await findImage(backend, reference, { platform })).toEqual(found)
      expect((await backend.content.info(image.config.digest)).labels).toMatchObject(label)
      expect(await leftovers(backend, 'native')).toEqual([])
    })

    test('without the account nothing is touched, and the reason is told', async () => {
      const node = await bereft(backend, 'native')
      const { image, planned } = node
      await push(peer.host, image, 'team/closed', '1')
      await writeFile(join(directory, 'config.json'), '{}')
      const kept = await blobs(backend)
      const sources = [`docker://${peer.host}/team/closed:1`]
      const error = await failure(unpack({ backend, planned, blobs: { sources } }))
      expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3 })
      expect(error.message).toContain(sources[0])
      expect(error.detail['problems']).toHaveLength(1)
      expect(error.fix).toContain(`docker login ${peer.host}`)
      const look = await dryRun({ backend, plan: planned.plan, blobs: { sources } })
      expect(look.fixes.join()).toContain(`docker login ${peer.host}`)
      await expectUntouched(backend, node, kept)
    })
  })

  describe('layers made again out of overlayfs', () => {
    /** An image that is unpacked under a snapshotter, and whose layer blobs are gone. */
    const unpacked = async (snapshotter = 'overlayfs') => {
      const node = await bereft(backend, 'native')
      const { image, planned } = node
      await writeOciLayout(image, join(directory, planned.digest.slice(7, 19)))
      const there = planOf(image, { snapshotter, reference: planned.plan.reference })
      const sources = [`oci:${join(directory, planned.digest.slice(7, 19))}`]
      await unpack({ backend, planned: there, blobs: { sources } })
      for (const { digest } of image.layers) await containerd.ctr('content', 'rm', digest)
      await collect(backend)
      return node
    }

    test('fill the snapshots with the same tree, and say that they could not be checked', async () => {
      for (const applier of ['containerd', 'own'] as const) {
        const node = await unpacked()
        const { image, planned } = node
        const kept = await blobs(backend)
        const options = { fromSnapshotter: 'overlayfs' }
        const made = image.layers.map(() => ({ from: 'snapshotter', name: 'overlayfs' }))

        const look = await dryRun({ backend, plan: planned.plan, blobs: options })
        expect(look.layers.map(({ blob }) => blob.origin)).toEqual(made)
        expect(look.missing).toEqual([])
        await expectUntouched(backend, node, kept)

        const result = await unpack({ backend, planned, applier, blobs: options })
        expect(origins(result)).toEqual(made)
        expect(result.warnings.map(({ code }) => code)).toEqual(image.layers.map(() => 'DIFF_ID_UNCHECKED'))
        for (const [index, { digest }] of image.layers.entries()) {
          expect(result.warnings[index]?.detail).toContain(digest)
        }
        await expectWhole(backend, node)
        expect(await leftovers(backend, 'overlayfs')).toEqual([])
        // What was made for it went with the lease.
        await soon(() => blobs(backend), kept)
      }
    })

    test('are asked last: another blob and a source come before', async () => {
      const node = await unpacked()
      const { image, planned } = node
      const labels = { [UNCOMPRESSED]: image.diffIDs[0] ?? '', 'containerd.io/gc.root': '1' }
      const tar = image.tars[0] ?? new Uint8Array()
      const once = async function* () {
        yield tar
      }
      await backend.content.write({ digest: image.diffIDs[0] as never, size: tar.length }, once(), labels)
      const part = { ...image, blobs: new Map(image.blobs) }
      for (const n of [0, 1]) part.blobs.delete(image.layers[n]?.digest as never)
      await writeOciLayout(part, join(directory, 'part'))
      const sources = [`oci:${join(directory, 'part')}`]
      const result = await unpack({ backend, planned, blobs: { sources, fromSnapshotter: 'overlayfs' } })
      expect(origins(result)).toEqual([
        { from: 'stand-in', digest: image.diffIDs[0] },
        { from: 'snapshotter', name: 'overlayfs' },
        { from: 'source', spec: sources[0] },
      ])
      expect(result.warnings.map(({ code }) => code)).toEqual(['DIFF_ID_UNCHECKED'])
      await expectWhole(backend, node)
    })

    test('need a chain there that is whole and right: refused before anything is touched', async () => {
      const node = await bereft(backend, 'native')
      const { image, planned } = node
      const kept = await blobs(backend)
      const options = { fromSnapshotter: 'overlayfs' }
      const refused = async (digests: readonly string[], reason: RegExp, allowed = options) => {
        const events: UnpackEvent[] = []
        const error = await failure(
          unpack({ backend, planned, blobs: allowed, onEvent: (event) => events.push(event) }),
        )
        expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3, detail: { digests } })
        expect(error.message).toMatch(reason)
        expect(events).toEqual([])
        await expectUntouched(backend, node, kept)
      }
      const digests = image.layers.map(({ digest }) => digest)
      await refused(digests, /snapshot sha256:\w+ is not there/)

      // A chain ID that stands on nothing: whoever made it, it is not the second layer on the first.
      const lease = await backend.leases.create()
      const overlay = backend.withLease(lease.id).snapshotter('overlayfs')
      for (const [n, chainID] of image.chainIDs.slice(0, 2).entries()) {
        await overlay.prepare(`wrong-${n} ${chainID}`, '', {})
        await overlay.commit(chainID, `wrong-${n} ${chainID}`, {})
      }
      const error = await failure(unpack({ backend, planned, blobs: options }))
      expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', detail: { digests: digests.slice(1) } })
      expect(error.message).toContain(`${image.chainIDs[1]} stands on ""`)
      await backend.leases.delete(lease.id, { sync: true })

      await refused(digests, /is not there/, { fromSnapshotter: 'native' })
      expect(await failure(unpack({ backend, planned, blobs: { fromSnapshotter: 'nosuch' } }))).toMatchObject({
        code: 'SNAPSHOTTER_NOT_FOUND',
      })
      expect(await failure(unpack({ backend, planned, blobs: { fromSnapshotter: 'nydus' } }))).toMatchObject({
        code: 'TREE_NOT_ON_NODE',
      })
    })

    test('a run that is told to stop while they are made leaves neither views nor blobs', async () => {
      const node = await unpacked()
      const { planned, image } = node
      const kept = await blobs(backend)
      const stop = new AbortController()
      const error = await failure(
        unpack({
          backend,
          planned,
          blobs: { fromSnapshotter: 'overlayfs' },
          signal: stop.signal,
          onEvent: (event) => {
            if (event.type === 'layer' && event.index === 1 && event.step === 'fetching') stop.abort()
          },
        }),
      )
      expect(error).toMatchObject({ code: 'ABORTED' })
      expect(error.detail['cleanup']).toBeUndefined()
      await soon(() => leftovers(backend, 'overlayfs'), [])
      await soon(() => leftovers(backend, 'native'), [])
      await removeChain(backend, image, 'native')
      await soon(() => blobs(backend), kept)
    })

    test.skipIf(version.startsWith('1.'))(
      'come out of erofs as well, which the diff service cannot mount',
      async () => {
        for (const applier of ['containerd', 'own'] as const) {
          const node = await unpacked('erofs')
          const { image, planned } = node
          const kept = await blobs(backend)
          const result = await unpack({ backend, planned, applier, blobs: { fromSnapshotter: 'erofs' } })
          expect(origins(result)).toEqual(image.layers.map(() => ({ from: 'snapshotter', name: 'erofs' })))
          expect(result.warnings.map(({ code }) => code)).toEqual(image.layers.map(() => 'DIFF_ID_UNCHECKED'))
          await expectWhole(backend, node)
          expect(await leftovers(backend, 'erofs')).toEqual([])
          await soon(() => blobs(backend), kept)
        }
      },
    )

    test.skipIf(version.startsWith('1.'))('go into erofs as well (it came with 2.1)', async () => {
      const node = await unpacked()
      const { image } = node
      const planned = planOf(image, { snapshotter: 'erofs', reference: node.planned.plan.reference })
      const result = await unpack({ backend, planned, blobs: { fromSnapshotter: 'overlayfs' } })
      expect(origins(result)).toEqual(image.layers.map(() => ({ from: 'snapshotter', name: 'overlayfs' })))
      expect(await treeOf(backend, 'erofs', planned.plan.chainID)).toEqual(node.tree)
    })
  })
})

/** The collector works in the background: what it takes is gone soon, not at once. */
async function soon(look: () => Promise<unknown>, expected: unknown): Promise<void> {
  for (const deadline = Date.now() + 15_000; Date.now() < deadline;) {
    if (JSON.stringify(await look()) === JSON.stringify(expected)) return
    await new Promise((done) => setTimeout(done, 50))
  }
  expect(await look()).toEqual(expected)
}
