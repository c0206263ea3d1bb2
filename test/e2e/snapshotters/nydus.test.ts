import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runOnce } from '../../../functions/agent/agent.ts'
import { createClient } from '../../../functions/contract/client.ts'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { SnapshotInfo } from '../../../functions/node/ports.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { serve } from '../../../functions/serve/serve.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { intercept } from '../../runner/unpack/support/intercept.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers } from '../../runner/unpack/support/stores.ts'
import { all } from '../../support/all.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { NEWEST, nydusProgram, programs } from '../../support/containerd/versions.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { writeOciArchive } from '../../support/images/write.ts'
import { errorOf, layercast, type Ran } from '../../support/layercast.ts'

const [newest, nydus] = [await programs(NEWEST), await nydusProgram()]
const missing = [newest, nydus].flatMap((found) => ('missing' in found ? [found.missing] : []))
const reason = missing.length === 0 ? '' : ` (skipped: ${missing.join('; ')})`
const PREFIX = 'containerd.io/snapshot/'

describe.skipIf(missing.length > 0)(`nydus in proxy mode, end to end${reason}`, () => {
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let directory: string
  let image: BuiltImage
  let name: string
  let count = 0

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-nydus-'))
    containerd = await startContainerd({ version: NEWEST, nydus: true, namespace: 'k8s.io' })
    backend = await containerd.connect()
  })
  afterAll(async () => {
    await containerd?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  // Each test has an image of its own, there for overlayfs.
  beforeEach(async () => {
    const base = `example.com/nydus-${++count}`
    image = smallImage(base)
    name = await bring(image, base)
  })

  afterEach(async () => {
    for (const { id } of await all(backend.leases.list())) await backend.leases.delete(id)
  })

  async function bring(built: BuiltImage, base: string): Promise<string> {
    const archive = join(directory, 'image.tar')
    await writeOciArchive(built, archive, { ref: '1' })
    await containerd.importArchive(archive, { baseName: base, snapshotter: 'overlayfs' })
    return `${base}:1`
  }
  const run = (...args: string[]): Promise<Ran> => layercast(args, { env: containerd.env })
  const snapshots = async (): Promise<SnapshotInfo[]> => all(backend.snapshotter('nydus').list())
  const removeLayers = async (): Promise<void> => {
    for (const { digest } of image.layers) await backend.content.remove(digest)
  }

  test('every chain ID is there with its labels, and no blob was needed or read', async () => {
    await removeLayers()
    const calls: string[] = []
    const watched = intercept(backend, async (call, goOn) => {
      calls.push(call.name)
      return goOn()
    })
    const planned = planOf(image, { snapshotter: 'nydus', reference: name })
    const result = await unpack({ backend: watched, planned })
    expect(result.layers.map(({ state, bytes }) => [state, bytes])).toEqual(image.layers.map(() => ['taken', 0]))
    expect(calls.filter((call) => /^diffService|content\.(write|read)|snapshotter\.commit/.test(call))).toEqual([])
    expect(result.warnings).toEqual(planned.plan.warnings)
    expect(result.lazy).toEqual({ layers: image.layers.length, of: image.layers.length })

    for (const [index, layer] of image.layers.entries()) {
      expect(await backend.snapshotter('nydus').stat(image.chainIDs[index] ?? '')).toMatchObject({
        kind: 'committed',
        parent: image.chainIDs[index - 1] ?? '',
        labels: {
          'containerd.io/snapshot.ref': image.chainIDs[index],
          [`${PREFIX}cri.image-ref`]: name,
          [`${PREFIX}cri.manifest-digest`]: image.manifest.digest,
          [`${PREFIX}cri.layer-digest`]: layer.digest,
          [`${PREFIX}cri.image-layers`]: image.layers
            .slice(index)
            .map(({ digest }) => digest)
            .join(','),
        },
      })
    }
    expect(await leftovers(backend, 'nydus')).toEqual([])
    // The snapshotter's own label beside them is no difference.
    const again = await unpack({ backend, planned })
    expect([again.ready, again.warnings]).toEqual([true, planned.plan.warnings])
    expect(await verifyChain({ backend, plan: planned.plan })).toMatchObject({ ok: true })
  })

  test('an agent reports how many layers are lazy', async () => {
    const root = await mkdtemp(join(tmpdir(), 'layercast-nydus-agent-'))
    const server = await serve({ root: join(root, 'server'), port: 0, log: () => undefined })
    try {
      const operator = createClient({
        server: server.url,
        token: (await readFile(server.operatorTokenFile, 'utf8')).trim(),
      })
      const { manifestBytes: manifest, configBytes: config } = image
      const { digest } = await operator.plan({ reference: name, manifest, config, snapshotter: 'nydus' })
      await operator.assign({ selector: '*', plans: [digest] })
      const { token: joinToken } = await operator.createJoinToken({})
      const agent = { backend, server: server.url, joinToken, stateDirectory: join(root, 'state'), name: 'node' }
      const lazy = { layers: image.layers.length, of: image.layers.length }
      expect((await runOnce(agent)).plans).toMatchObject([{ state: 'applied', lazy }])
      expect((await operator.nodes()).items).toMatchObject([{ plans: [{ state: 'applied', lazy }] }])
    } finally {
      await server.close()
      await rm(root, { recursive: true, force: true })
    }
  })

  test('through the program, with the blobs gone too', async () => {
    await removeLayers()
    const ran = await run('unpack', name, '-s', 'nydus', '-o', 'json')
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    const report = JSON.parse(ran.stdout.toString()) as { layers: { state: string }[]; ms: number }
    expect(report.layers.map(({ state }) => state)).toEqual(image.layers.map(() => 'taken'))
    const verified = await run('verify', name, '-s', 'nydus')
    expect([verified.status, verified.stderr]).toEqual([0, ''])
  })

  test('labels off is refused before anything is touched', async () => {
    const before = [await snapshots(), await all(backend.leases.list())]
    const ran = await run('unpack', name, '-s', 'nydus', '--labels', 'off', '-o', 'json')
    expect([ran.status, errorOf(ran).code]).toEqual([2, 'PLAN_LABEL_REQUIRED'])
    expect([await snapshots(), await all(backend.leases.list())]).toEqual(before)
  })

  test('what `ctr image mount` leaves is no obstacle: it fails by itself, and the unpack makes the chain', async () => {
    const failed = await containerd
      .ctr('image', 'mount', '--snapshotter', 'nydus', name, join(directory, 'mnt'))
      .then(() => '', String)
    expect(failed).toMatch(/fuse/)
    await removeLayers()
    const ran = await run('unpack', name, '-s', 'nydus')
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    expect((await run('verify', name, '-s', 'nydus')).status).toBe(0)
  })

  /** A chain as an unpacker without CRI's labels leaves it: the layers are named, and the guest is told of no image. */
  async function makeHalf(layers: number, more: Record<string, string> = {}): Promise<void> {
    const snapshotter = backend.snapshotter('nydus')
    const { id } = await backend.leases.create({ id: `half-${count}` })
    const leased = backend.withLease(id).snapshotter('nydus')
    for (const [index, layer] of image.layers.slice(0, layers).entries()) {
      const chainID = image.chainIDs[index] ?? ''
      const labels = { 'containerd.io/snapshot.ref': chainID, [`${PREFIX}cri.layer-digest`]: layer.digest, ...more }
      await expect(leased.prepare(`half ${chainID}`, image.chainIDs[index - 1] ?? '', labels)).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
      })
      expect((await snapshotter.stat(chainID)).labels).toMatchObject(labels)
    }
  }

  test.each([1, 3])('a chain of which %i layers were made without labels is told of, and repaired', async (layers) => {
    await makeHalf(layers)
    const before = await snapshots()
    const found = await run('verify', name, '-s', 'nydus')
    expect([found.status, found.stdout.toString()]).toEqual([5, expect.stringContaining('cri.image-ref')])
    const dry = await run('repair', name, '-s', 'nydus', '--dry-run')
    expect([dry.status, dry.stderr]).toEqual([0, ''])
    expect(dry.stdout.toString()).toContain('made again: decided at Prepare by its labels')
    expect(await snapshots()).toEqual(before)

    await removeLayers()
    const repaired = await run('repair', name, '-s', 'nydus')
    expect([repaired.status, repaired.stderr]).toEqual([0, ''])
    expect((await run('verify', name, '-s', 'nydus')).status).toBe(0)
    const { plan } = planOf(image, { snapshotter: 'nydus', reference: name })
    for (const layer of plan.layers) {
      expect((await backend.snapshotter('nydus').stat(layer.chainID)).labels).toMatchObject(layer.labels)
    }
    expect(await leftovers(backend, 'nydus')).toEqual([`lease half-${count}`])
  })

  // ctr makes no container here: it mounts what only a guest can. What CRI prepares for one is a snapshot as this.
  test('a chain that a container’s own layer stands on is left alone, and that layer is named', async () => {
    // With no name of an image at all nydus would refuse the layer.
    await makeHalf(3, { [`${PREFIX}cri.image-ref`]: 'example.com/another:1' })
    const leased = backend.withLease(`half-${count}`).snapshotter('nydus')
    const [mount] = await leased.prepare('standing', image.chainIDs.at(-1) ?? '', {})
    expect(mount?.type).toBe('fuse.nydus-overlayfs')
    const before = await snapshots()
    const refused = await run('repair', name, '-s', 'nydus', '-o', 'json')
    expect([refused.status, errorOf(refused).code]).toEqual([1, 'SNAPSHOT_IN_USE'])
    expect(errorOf(refused).message).toContain('standing')
    expect(await snapshots()).toEqual(before)

    await leased.remove('standing')
    const repaired = await run('repair', name, '-s', 'nydus')
    expect([repaired.status, repaired.stderr]).toEqual([0, ''])
  })
})
