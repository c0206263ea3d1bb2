import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { blobs } from '../../runner/blobs/missing.ts'
import {
  ACCOUNT,
  push,
  registryProgram,
  startRegistry,
  type Peer,
} from '../../runner/sources/support/registry-daemon.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { removeChain } from '../../runner/unpack/support/stores.ts'
import { treeOf } from '../../runner/unpack/support/tree.ts'
import { collect } from '../../support/collect.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { Cri } from '../../support/cri/client.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { errorOf, layercast, type Ran } from '../../support/layercast.ts'

const why = registryProgram === undefined ? ' (skipped: docker-registry is not installed)' : ''

await describeContainerd('an image that CRI pulled with discard_unpacked_layers', (version) => {
  describe.skipIf(why !== '')(`from a registry that wants an account${why}`, () => {
    let containerd: TestContainerd
    let backend: ContainerdBackend
    let peer: Peer
    let cri: Cri
    let directory: string
    let image: BuiltImage
    let name: string

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'layercast-discarded-'))
      const cri_ = { discardLayers: true, ...(version.startsWith('2.') && { handlers: { erofs: 'erofs' } }) }
      containerd = await startContainerd({ version, namespace: 'k8s.io', cri: cri_ })
      backend = await containerd.connect()
      peer = await startRegistry({ account: true })
      image = smallImage(`discarded ${version}`)
      await push(peer.host, image, 'team/app', '1')
      name = `${peer.host}/team/app:1`
      const auth = Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64')
      await writeFile(join(directory, 'config.json'), JSON.stringify({ auths: { [peer.host]: { auth } } }))
      await mkdir(join(containerd.directory, 'logs'))
      cri = new Cri(containerd.address, join(containerd.directory, 'logs'))
      await cri.pull(name, ACCOUNT)
      await collect(backend)
    })
    afterAll(async () => {
      await cri?.close()
      await containerd?.stop()
      await peer?.close()
      await rm(directory, { recursive: true, force: true })
    })

    const run = (args: string[], account = directory): Promise<Ran> =>
      layercast(args, { env: { ...containerd.env, DOCKER_CONFIG: account } })
    const digests = () => image.layers.map(({ digest }) => digest)
    const gone = async () => {
      const there = await blobs(backend)
      for (const digest of digests()) expect(there).not.toContain(digest)
    }
    /** As it would have been with the blobs there, from a node that has them. */
    const tree = async () => treeOf(backend, 'overlayfs', image.chainIDs[2] ?? '')
    const clear = async () => {
      await removeChain(backend, image, 'native')
      await collect(backend)
    }

    test('cannot be unpacked elsewhere: status 3, all that is missing, and what to do', async () => {
      await gone()
      for (const extra of [[], ['--dry-run']]) {
        const ran = await run(['unpack', name, '-s', 'native', '-o', 'json', ...extra])
        expect(ran.status).toBe(3)
        const error = errorOf(ran)
        expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3, detail: { digests: digests() } })
        for (const option of ['--source registry', '--source oci:DIR', '--from-snapshotter NAME']) {
          expect(error.fix).toContain(option)
        }
      }
    })

    test("is fetched again from where it came, with the account of docker's config.json, and not kept", async () => {
      const dry = await run(['unpack', name, '-s', 'native', '--source', 'registry', '--dry-run'])
      expect([dry.status, dry.stderr]).toEqual([0, ''])
      const source = `docker://${peer.host}/team/app@${image.manifest.digest}`
      expect(dry.stdout.toString().split(`source ${source}`)).toHaveLength(4)
      await gone()

      const ran = await run(['unpack', name, '-s', 'native', '--source', 'registry', '-o', 'json'])
      expect([ran.status, ran.stderr]).toEqual([0, ''])
      const result = JSON.parse(ran.stdout.toString()) as { layers: { blob: unknown }[]; warnings: unknown[] }
      expect(result.layers.map(({ blob }) => blob)).toEqual(digests().map(() => ({ from: 'source', spec: source })))
      expect(result.warnings).toEqual([])
      expect(await treeOf(backend, 'native', image.chainIDs[2] ?? '')).toEqual(await tree())
      // Nothing refers to them here: they were there for as long as they were needed.
      await collect(backend)
      await gone()
      await clear()
    })

    test('is made again out of overlayfs where that is asked for by name', async () => {
      const ran = await run(['unpack', name, '-s', 'native', '--from-snapshotter', 'overlayfs'])
      expect([ran.status, ran.stderr]).toEqual([0, ''])
      const shown = ran.stdout.toString()
      expect(shown.split('snapshotter overlayfs')).toHaveLength(4)
      expect(shown.split('DIFF_ID_UNCHECKED')).toHaveLength(4)
      expect(await treeOf(backend, 'native', image.chainIDs[2] ?? '')).toEqual(await tree())
      await clear()
    })

    test('an unreachable source does not do, and a second one does', async () => {
      await writeOciLayout(image, join(directory, 'layout'))
      const sources = ['--source', 'docker://127.0.0.1:65535/none:1', '--source', `oci:${join(directory, 'layout')}`]
      const alone = await run(['unpack', name, '-s', 'native', ...sources.slice(0, 2), '-o', 'json'])
      expect(alone.status).toBe(3)
      expect(errorOf(alone).message).toContain('docker://127.0.0.1:65535/none:1')
      const ran = await run(['unpack', name, '-s', 'native', ...sources, '-o', 'json'])
      expect([ran.status, ran.stderr]).toEqual([0, ''])
      const result = JSON.parse(ran.stdout.toString()) as { warnings: { code: string; detail: string }[] }
      expect(result.warnings.map(({ code }) => code)).toEqual(['ORIGIN_REFUSED'])
      await clear()
    })

    test('a plan that was made elsewhere has the same providers', async () => {
      const planned = planOf(image, { reference: name })
      await writeFile(join(directory, 'plan.json'), planned.bytes)
      const refused = await run(['apply', join(directory, 'plan.json'), '-o', 'json'])
      expect(errorOf(refused)).toMatchObject({ code: 'BLOB_NOT_FOUND', detail: { digests: digests() } })
      const ran = await run(['apply', join(directory, 'plan.json'), '--source', 'registry', '-o', 'json'])
      expect([ran.status, ran.stderr]).toEqual([0, ''])
      expect(await unpack({ backend, planned })).toMatchObject({ ready: true, warnings: [] })
      await clear()
    })
  })
})
