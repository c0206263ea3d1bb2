import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Backend } from '../../../functions/node/ports.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import { dryRun } from '../../../functions/runner/unpack/dry-run.ts'
import type { UnpackEvent } from '../../../functions/runner/unpack/types.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { runChild } from '../../runner/unpack/support/children.ts'
import { failure } from '../../runner/unpack/support/failure.ts'
import { busyboxImage, smallImage, withWrongDiffID } from '../../runner/unpack/support/images.ts'
import { planOf, REFERENCE } from '../../runner/unpack/support/plans.ts'
import { leftovers, removeChain, snapshotNames } from '../../runner/unpack/support/stores.ts'
import { treeOf } from '../../runner/unpack/support/tree.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { writeOciArchive } from '../../support/images/write.ts'

/** The collector works in the background: what it takes is gone soon, not at once. */
async function soon(look: () => Promise<unknown>, expected: unknown): Promise<void> {
  for (const deadline = Date.now() + 15_000; Date.now() < deadline; await sleep(50)) {
    if (JSON.stringify(await look()) === JSON.stringify(expected)) return
  }
  expect(await look()).toEqual(expected)
}

await describeContainerd('unpack', (version) => {
  let containerd: TestContainerd
  let backend: Backend
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-unpack-'))
    containerd = await startContainerd({ version })
    backend = await containerd.connect()
  })
  afterAll(async () => {
    await containerd?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const bring = async (image: BuiltImage, name: string, snapshotter?: string): Promise<string> => {
    const [base = '', tag = ''] = name.split(':')
    const file = join(directory, 'image.tar')
    await writeOciArchive(image, file, { ref: tag })
    const names = await containerd.importArchive(file, { baseName: base, ...(snapshotter ? { snapshotter } : {}) })
    expect(names).toEqual([name])
    return name
  }
  const keep = async (planned: Planned): Promise<string> => {
    const file = join(directory, `plan-${planned.digest.slice(7, 19)}.json`)
    await writeFile(file, planned.bytes)
    return file
  }
  const verified = async ({ plan }: Planned, on: Backend = backend): Promise<void> => {
    const report = await verifyChain({ backend: on, plan })
    expect(report.layers.flatMap((layer) => layer.problems)).toEqual([])
    expect(report.config.problems).toEqual([])
    expect(report.ok).toBe(true)
  }

  describe('an image that is there for overlayfs', () => {
    let image: BuiltImage
    let planned: Planned

    beforeAll(async () => {
      image = smallImage()
      await bring(image, REFERENCE, 'overlayfs')
      planned = planOf(image)
    })
    beforeEach(async () => {
      await removeChain(backend, image, 'native')
      await soon(() => snapshotNames(backend, 'native'), [])
    })

    test('becomes ready under native, with the labels that ctr reads back, and no lease stays', async () => {
      const events: UnpackEvent[] = []
      const before = await dryRun({ backend, plan: planned.plan })
      expect(before.layers.map((layer) => layer.snapshot)).toEqual(['missing', 'missing', 'missing'])
      expect(before).toMatchObject({ ready: false, missing: [] })

      const result = await unpack({ backend, planned, onEvent: (event) => events.push(event) })
      expect(result.layers.map((layer) => layer.state)).toEqual(['applied', 'applied', 'applied'])
      expect(result.layers.map((layer) => layer.bytes)).toEqual(image.tars.map((tar) => tar.length))
      expect(result).toMatchObject({ ready: false, warnings: [], chainID: image.chainIDs[2], plan: planned.digest })

      for (const layer of planned.plan.layers) {
        const said = await containerd.ctr('snapshots', '--snapshotter', 'native', 'info', layer.chainID)
        expect(JSON.parse(said)).toMatchObject({ Kind: 'Committed', Name: layer.chainID, Labels: layer.labels })
        expect((JSON.parse(said) as { Parent?: string }).Parent ?? '').toBe(layer.parent)
      }
      expect((await containerd.ctr('leases', 'ls', '-q')).trim()).toBe('')
      expect(await leftovers(backend, 'native')).toEqual([])
      const contents = await containerd.ctr('content', 'ls')
      expect(contents).toContain(`containerd.io/gc.ref.snapshot.native=${image.chainIDs[2]}`)
      for (const diffID of image.diffIDs) expect(contents).toContain(`containerd.io/uncompressed=${diffID}`)
      await verified(planned)

      const leases = events.flatMap((event) => (event.type === 'lease' ? [event.step] : []))
      expect(leases).toEqual(['created', 'deleted'])
      const after = await dryRun({ backend, plan: planned.plan })
      expect(after.layers.map((layer) => layer.snapshot)).toEqual(['exists', 'exists', 'exists'])
      expect(after).toMatchObject({ ready: true, config: { gcLabel: true } })
    })

    test('is not touched a second time, not even by a lease', async () => {
      await unpack({ backend, planned })
      const events: UnpackEvent[] = []
      const again = await unpack({ backend, planned, onEvent: (event) => events.push(event) })
      expect(again.ready).toBe(true)
      expect(again.layers.map((layer) => layer.state)).toEqual(['exists', 'exists', 'exists'])
      expect(events.map((event) => event.type)).toEqual(['started'])
    })

    test('gets its gc label back where only that is missing, and outlives the collector', async () => {
      await unpack({ backend, planned })
      // A container's snapshot keeps the chain meanwhile.
      const { id } = await backend.leases.create()
      await backend.withLease(id).snapshotter('native').prepare('container', planned.plan.chainID, {})
      await backend.content.label(image.config.digest, { 'containerd.io/gc.ref.snapshot.native': '' })
      const result = await unpack({ backend, planned })
      expect(result).toMatchObject({ ready: false })
      await backend.leases.delete(id, { sync: true })
      expect(result.layers.map((layer) => layer.state)).toEqual(['exists', 'exists', 'exists'])
      // Deleting an image with --sync makes the collector run to its end.
      await containerd.ctr('images', 'tag', REFERENCE, 'example.com/other:1')
      await containerd.ctr('images', 'rm', '--sync', 'example.com/other:1')
      await verified(planned)
    })

    test('only what is missing is made, and what the collector would take is held', async () => {
      await unpack({ backend, planned })
      await backend.snapshotter('native').remove(image.chainIDs[2] ?? '')
      const result = await unpack({ backend, planned })
      expect(result.layers.at(-1)?.state).toBe('applied')
      await verified(planned)
    })

    test('the own applier and containerd give the same chain and the same tree', async () => {
      const daemons = await unpack({ backend, planned, applier: 'containerd' })
      const tree = await treeOf(backend, 'native', image.chainIDs[2] ?? '')
      await removeChain(backend, image, 'native')
      await soon(() => snapshotNames(backend, 'native'), [])
      const own = await unpack({ backend, planned, applier: 'own' })
      expect(own.layers.map(({ chainID, state, bytes }) => ({ chainID, state, bytes }))).toEqual(
        daemons.layers.map(({ chainID, state, bytes }) => ({ chainID, state, bytes })),
      )
      await verified(planned)
      expect(await treeOf(backend, 'native', image.chainIDs[2] ?? '')).toEqual(tree)
      expect(Object.keys(tree)).toContain('etc/motd')
      expect(Object.keys(tree)).not.toContain('etc/gone')
      expect(Object.keys(tree)).not.toContain('var/hidden')
    })

    test('a run that is told to stop leaves nothing, says so, and can be run again', async () => {
      const stop = new AbortController()
      const error = await failure(
        unpack({
          backend,
          planned,
          signal: stop.signal,
          onEvent: (event) => {
            if (event.type === 'layer' && event.index === 1 && event.step === 'applying') stop.abort()
          },
        }),
      )
      expect(error).toMatchObject({ code: 'ABORTED', exit: 1 })
      expect(error.detail['cleanup']).toBeUndefined()
      expect(await leftovers(backend, 'native')).toEqual([])
      await unpack({ backend, planned })
      await verified(planned)
    })

    test('a daemon that dies and comes back in the middle is waited for', async () => {
      let killed: Promise<void> | undefined
      const retries: string[] = []
      const result = await unpack({
        backend,
        planned,
        onEvent: (event) => {
          if (event.type === 'retry') retries.push(event.what)
          if (event.type !== 'layer' || event.index !== 1 || event.step !== 'applying' || killed) return
          killed = containerd.kill().then(() => containerd.start())
        },
      })
      await killed
      expect(retries).not.toEqual([])
      expect(result.layers.map((layer) => layer.state)).toEqual(['applied', 'applied', 'applied'])
      await verified(planned)
      await soon(() => leftovers(backend, 'native'), [])
    })

    test('a daemon that stays away is an error that says so', async () => {
      let killed: Promise<void> | undefined
      const error = await failure(
        unpack({
          backend,
          planned,
          onEvent: (event) => {
            if (event.type === 'layer' && event.index === 1 && event.step === 'prepared') killed ??= containerd.kill()
          },
        }),
      )
      await killed
      await containerd.start()
      expect(error).toMatchObject({ code: 'CONTAINERD_UNREACHABLE', exit: 4 })
      // Nothing could be undone, and none of that is kept quiet.
      expect(error.detail['cleanup']).toHaveLength(1)
      expect(error.message).toMatch(/could not delete lease/)
      await unpack({ backend, planned })
      await verified(planned)
      for await (const { id } of backend.leases.list()) await backend.leases.delete(id, { sync: true })
      await soon(() => leftovers(backend, 'native'), [])
    })

    test('two runners at once on one image end well', async () => {
      const plan = await keep(planned)
      for (let round = 0; round < 4; round++) {
        const task = { backend: { address: containerd.address }, plan, startAt: Date.now() + 700 }
        const ends = await Promise.all([runChild(task), runChild(task), runChild({ ...task, applier: 'own' as const })])
        for (const end of ends) expect(end.error).toBeUndefined()
        const made = ends.flatMap((end) => end.result?.layers ?? []).filter((layer) => layer.state === 'applied')
        // Each layer was committed by exactly one of them.
        expect(made.map((layer) => layer.index).sort()).toEqual([0, 1, 2])
        await verified(planned)
        expect(await leftovers(backend, 'native')).toEqual([])
        await removeChain(backend, image, 'native')
        await soon(() => snapshotNames(backend, 'native'), [])
      }
    })

    test('two runs in one process write every layer once', async () => {
      const results = await Promise.all([unpack({ backend, planned }), unpack({ backend, planned })])
      const states = results.map((result) => result.layers.map((layer) => layer.state))
      for (const index of [0, 1, 2]) {
        expect(states.map((row) => row[index]).sort()).toEqual(['applied', 'taken'])
      }
      await verified(planned)
      expect(await leftovers(backend, 'native')).toEqual([])
    })

    test("beside containerd's own unpacker, which sends no labels, the chain is whole and the difference is told", async () => {
      const [result] = await Promise.all([
        unpack({ backend, planned }),
        containerd.ctr('snapshots', 'unpack', '--snapshotter', 'native', image.manifest.digest),
      ])
      const report = await verifyChain({ backend, plan: planned.plan })
      const problems = report.layers.flatMap((layer) => layer.problems)
      expect(problems.filter(({ code }) => code !== 'LABEL_MISSING')).toEqual([])
      const unlabelled = report.layers.filter((layer) => layer.problems.length > 0)
      expect(result.warnings.map((warning) => warning.code)).toEqual(unlabelled.length > 0 ? ['LABELS_DIFFER'] : [])
      for (const layer of unlabelled) expect(result.layers[layer.index]?.state).not.toBe('applied')
      await soon(() => leftovers(backend, 'native'), [])
    })

    test("a chain that containerd's own unpacker made is seen, and told to have other labels", async () => {
      await containerd.ctr('snapshots', 'unpack', '--snapshotter', 'native', image.manifest.digest)
      const look = await dryRun({ backend, plan: planned.plan })
      expect(look.layers.map((layer) => layer.snapshot)).toEqual(['differs', 'differs', 'differs'])
      expect(look.layers[0]?.difference?.missing).toContain('containerd.io/snapshot/cri.layer-digest')
      const result = await unpack({ backend, planned })
      expect(result.warnings.map((warning) => warning.code)).toEqual(['LABELS_DIFFER'])
      for (const chainID of image.chainIDs) expect(result.warnings[0]?.detail).toContain(chainID)
    })

    test('a snapshotter that is not there is named before anything is made', async () => {
      const error = await failure(unpack({ backend, planned: planOf(image, { snapshotter: 'nosuch' }) }))
      expect(error).toMatchObject({ code: 'SNAPSHOTTER_NOT_FOUND', exit: 3 })
      expect(await leftovers(backend, 'native')).toEqual([])
    })

    test('killed at any step and run again it ends well', { timeout: 600_000 }, async () => {
      const plan = await keep(planned)
      const task = { backend: { address: containerd.address }, plan }
      const whole = await runChild(task)
      expect(whole.error).toBeUndefined()
      expect(whole.events.length).toBeGreaterThan(25)
      for (let step = 1; step <= whole.events.length; step++) {
        await removeChain(backend, image, 'native')
        await soon(() => snapshotNames(backend, 'native'), [])
        const dead = await runChild({
          ...task,
          killAfter: step,
          ...(step % 2 === 0 ? { applier: 'own' as const } : {}),
        })
        expect({ step, signal: dead.signal }).toEqual({ step, signal: 'SIGKILL' })
        await unpack({ backend, planned })
        await verified(planned)
        await soon(() => leftovers(backend, 'native'), [])
      }
    })

    test('killed at any moment and run again it ends well', { timeout: 600_000 }, async () => {
      const plan = await keep(planned)
      for (let round = 0; round < 12; round++) {
        await removeChain(backend, image, 'native')
        await soon(() => snapshotNames(backend, 'native'), [])
        // From the first event on, somewhere within the 100 ms that a run takes.
        let due: NodeJS.Timeout | undefined
        const dead = await runChild({ backend: { address: containerd.address }, plan }, (child) => {
          due ??= setTimeout(() => child.kill('SIGKILL'), round * 9)
        })
        expect(dead.error).toBeUndefined()
        await unpack({ backend, planned })
        await verified(planned)
        await soon(() => leftovers(backend, 'native'), [])
      }
    })
  })

  describe('an image that cannot be unpacked', () => {
    test('a wrong diff ID is refused, and nothing is left behind', async () => {
      for (const [index, applier] of [
        [0, 'containerd'],
        [2, 'containerd'],
        [1, 'own'],
      ] as const) {
        const image = withWrongDiffID(smallImage(`wrong ${index}`), index)
        const name = await bring(image, `example.com/wrong:${index}`)
        const planned = planOf(image, { reference: name })
        const error = await failure(unpack({ backend, planned, applier }))
        expect(error).toMatchObject({ code: 'DIFF_ID_MISMATCH', exit: 5 })
        expect(error.detail).toMatchObject({ layer: image.layers[index]?.digest, expected: image.diffIDs[index] })
        expect(error.detail['cleanup']).toBeUndefined()
        expect(await leftovers(backend, 'native')).toEqual([])
        const config = await backend.content.info(image.config.digest)
        expect(Object.keys(config.labels)).not.toContain('containerd.io/gc.ref.snapshot.native')
        const mine = new Set<string>(planned.plan.layers.map((layer) => layer.chainID))
        await soon(async () => (await snapshotNames(backend, 'native')).filter((name_) => mine.has(name_)), [])
      }
    })

    test('missing blobs are all named before anything is made', async () => {
      const image = smallImage('missing')
      const name = await bring(image, 'example.com/missing:1')
      const gone = [image.layers[0]?.digest ?? '', image.layers[2]?.digest ?? '']
      for (const digest of gone) await containerd.ctr('content', 'rm', digest)
      const before = await snapshotNames(backend, 'native')
      const error = await failure(unpack({ backend, planned: planOf(image, { reference: name }) }))
      expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3, detail: { digests: gone } })
      for (const digest of gone) expect(error.message).toContain(digest)
      expect(await leftovers(backend, 'native')).toEqual([])
      expect(await snapshotNames(backend, 'native')).toEqual(before)
      expect(await dryRun({ backend, plan: planOf(image, { reference: name }).plan })).toMatchObject({ missing: gone })
    })

    test('a blob that is damaged on disk is refused, and nothing is left behind', async () => {
      const image = smallImage('damaged')
      const name = await bring(image, 'example.com/damaged:1')
      const hex = image.layers[1]?.digest.slice('sha256:'.length) ?? ''
      const blob = join(containerd.directory, 'root/io.containerd.content.v1.content/blobs/sha256', hex)
      await writeFile(blob, new Uint8Array(image.layers[1]?.size ?? 0).fill(7))
      for (const applier of ['containerd', 'own'] as const) {
        await failure(unpack({ backend, planned: planOf(image, { reference: name }), applier }))
        expect(await leftovers(backend, 'native')).toEqual([])
      }
    })
  })

  test.skipIf(!existsSync('/bin/busybox'))('ctr run starts from it, with nothing left to unpack', async () => {
    const image = await busyboxImage()
    const name = await bring(image, 'example.com/busybox:1', 'overlayfs')
    const planned = planOf(image, { reference: name })
    await unpack({ backend, planned, applier: 'own' })
    const before = await Promise.all(image.chainIDs.map((chainID) => backend.snapshotter('native').stat(chainID)))
    const names = await snapshotNames(backend, 'native')
    const printed = await containerd.ctr('run', '--rm', '--snapshotter', 'native', name, `c-${process.pid}`)
    expect(printed).toBe('from the upper layer')
    const after = await Promise.all(image.chainIDs.map((chainID) => backend.snapshotter('native').stat(chainID)))
    expect(after).toEqual(before)
    expect(await snapshotNames(backend, 'native')).toEqual(names)
    await verified(planned)
  })
})
