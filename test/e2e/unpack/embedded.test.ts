import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import { findImage } from '../../../functions/runner/images/find.ts'
import { dryRun } from '../../../functions/runner/unpack/dry-run.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { importSource } from '../../runner/images/support.ts'
import { runChild } from '../../runner/unpack/support/children.ts'
import { failure } from '../../runner/unpack/support/failure.ts'
import { smallImage, withWrongDiffID } from '../../runner/unpack/support/images.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers, removeChain, snapshotNames, store } from '../../runner/unpack/support/stores.ts'
import { treeOf } from '../../runner/unpack/support/tree.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'

const SNAPSHOTTER = 'overlayfs'

describe.skipIf(process.getuid?.() !== 0)('unpack over the embedded backend (as root)', () => {
  let directory: string
  let root: string
  let backend: Backend
  let image: BuiltImage
  let planned: Planned
  let plan: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-unpack-'))
    root = join(directory, 'root')
    backend = await openEmbedded({ root })
    image = smallImage('embedded')
    planned = planOf(image, { snapshotter: SNAPSHOTTER })
    plan = join(directory, 'plan.json')
    await writeFile(plan, planned.bytes)
    await store(backend, image)
  })
  afterAll(async () => {
    await backend?.close()
    await rm(directory, { recursive: true, force: true })
  })
  beforeEach(async () => {
    await removeChain(backend, image, SNAPSHOTTER)
  })

  const verified = async (): Promise<void> => {
    const report = await verifyChain({ backend, plan: planned.plan })
    expect(report.layers.flatMap((layer) => layer.problems)).toEqual([])
    expect(report).toMatchObject({ ok: true, config: { problems: [] } })
  }

  test('the tree is what the layers describe', async () => {
    const result = await unpack({ backend, planned })
    expect(result.layers.map((layer) => layer.state)).toEqual(['applied', 'applied', 'applied'])
    expect(await leftovers(backend, SNAPSHOTTER)).toEqual([])
    await verified()
    const tree = await treeOf(backend, SNAPSHOTTER, planned.plan.chainID)
    expect(Object.keys(tree)).toEqual(['etc', 'etc/hard', 'etc/link', 'etc/motd', 'etc/new', 'var', 'var/seen'])
    expect(tree['etc/motd']).toMatch(/^104755 0 0 8 /)
    expect((await unpack({ backend, planned })).ready).toBe(true)
  })

  test('an image that a user names by its layout is imported, unpacked and found again by its name', async () => {
    const other = smallImage('from a layout')
    await writeOciLayout(other, join(directory, 'layout'), { ref: 'example.com/layout:1' })
    const found = await importSource(backend, `oci:${join(directory, 'layout')}`, { platform: 'linux/amd64' })
    expect(found.descriptor).toEqual(other.manifest)
    const mine = planOf(other, { snapshotter: SNAPSHOTTER, reference: found.reference })
    await unpack({ backend, planned: mine })
    expect(await dryRun({ backend, plan: mine.plan })).toMatchObject({ ready: true })
    const again = await findImage(backend, found.reference, { platform: 'linux/amd64' })
    expect(again).toEqual(found)
    const { labels } = await backend.content.info(other.manifest.digest)
    expect(labels).toMatchObject({
      'containerd.io/gc.ref.content.config': other.config.digest,
      'containerd.io/gc.ref.content.l.0': other.layers[0]?.digest,
      'containerd.io/gc.ref.content.l.2': other.layers[2]?.digest,
    })
    expect(await leftovers(backend, SNAPSHOTTER)).toEqual([])
    await removeChain(backend, other, SNAPSHOTTER)
  })

  test('a wrong diff ID is refused, and nothing is left behind', async () => {
    const wrong = withWrongDiffID(smallImage('wrong'), 2)
    await store(backend, wrong, 'example.com/wrong:1')
    const error = await failure(unpack({ backend, planned: planOf(wrong, { snapshotter: SNAPSHOTTER }) }))
    expect(error).toMatchObject({ code: 'DIFF_ID_MISMATCH', exit: 5 })
    expect(await leftovers(backend, SNAPSHOTTER)).toEqual([])
    expect(await snapshotNames(backend, SNAPSHOTTER)).toEqual([])
    expect(await readdir(join(root, 'snapshots'))).toEqual([])
  })

  test('missing blobs are all named before anything is made', async () => {
    const lacking = smallImage('lacking')
    await store(backend, lacking, 'example.com/lacking:1')
    const gone = [lacking.config, lacking.layers[0], lacking.layers[2]].map((blob) => blob?.digest)
    for (const digest of gone) if (digest) await backend.content.remove(digest)
    const error = await failure(unpack({ backend, planned: planOf(lacking, { snapshotter: SNAPSHOTTER }) }))
    expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3, detail: { digests: gone } })
    expect(await leftovers(backend, SNAPSHOTTER)).toEqual([])
    expect(await snapshotNames(backend, SNAPSHOTTER)).toEqual([])
  })

  test('two runners at once on one image end well', async () => {
    for (let round = 0; round < 4; round++) {
      await removeChain(backend, image, SNAPSHOTTER)
      const task = { backend: { root }, plan, startAt: Date.now() + 1_200 }
      const ends = await Promise.all([runChild(task), runChild(task)])
      for (const end of ends) expect(end.error).toBeUndefined()
      const made = ends.flatMap((end) => end.result?.layers ?? []).filter((layer) => layer.state === 'applied')
      expect(made.map((layer) => layer.index).sort()).toEqual([0, 1, 2])
      await verified()
      expect(await leftovers(backend, SNAPSHOTTER)).toEqual([])
    }
  })

  test('killed at any step and run again it ends well', { timeout: 600_000 }, async () => {
    const whole = await runChild({ backend: { root }, plan })
    expect(whole.events.length).toBeGreaterThan(25)
    for (let step = 1; step <= whole.events.length; step++) {
      await removeChain(backend, image, SNAPSHOTTER)
      const dead = await runChild({ backend: { root }, plan, killAfter: step })
      expect({ step, signal: dead.signal }).toEqual({ step, signal: 'SIGKILL' })
      await unpack({ backend, planned })
      await verified()
      expect({ step, left: await leftovers(backend, SNAPSHOTTER) }).toEqual({ step, left: [] })
      // A directory is there for each committed layer, and for nothing else.
      expect(await readdir(join(root, 'snapshots'))).toHaveLength(3)
    }
  })
})
