import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Planned } from '../../functions/plan/index.ts'
import type { ContainerdBackend } from '../../functions/runner/containerd/index.ts'
import { compareTree } from '../../functions/runner/tree/chain.ts'
import { unpack } from '../../functions/runner/unpack/index.ts'
import { verifyChain } from '../../functions/runner/verify/index.ts'
import { runChild } from '../runner/unpack/support/children.ts'
import { planOf } from '../runner/unpack/support/plans.ts'
import { leftovers } from '../runner/unpack/support/stores.ts'
import {
  all,
  describeContainerd,
  isAtLeast,
  nydusProgram,
  startContainerd,
  type TestContainerd,
} from '../support/containerd/index.ts'
import { writeOciArchive, type BuiltImage } from '../support/images/index.ts'
import { layeredImage } from '../support/images/running.ts'

const nydus = !('missing' in (await nydusProgram()))

/** What a day does to an image: which snapshots go, and what becomes of the layers' blobs. */
interface Damage {
  snapshots: 'all' | 'the upper ones' | 'none'
  blobs: 'stay' | 'go, and come from a source' | 'go, and are imported again'
  /** The first unpack after it is killed on its way. */
  killed?: boolean
}
const ROUNDS: Damage[] = [
  { snapshots: 'all', blobs: 'stay' },
  { snapshots: 'the upper ones', blobs: 'stay' },
  { snapshots: 'none', blobs: 'go, and are imported again' },
  { snapshots: 'all', blobs: 'go, and come from a source' },
  { snapshots: 'the upper ones', blobs: 'go, and come from a source' },
  { snapshots: 'all', blobs: 'stay', killed: true },
  { snapshots: 'all', blobs: 'go, and are imported again' },
  { snapshots: 'the upper ones', blobs: 'go, and are imported again' },
  { snapshots: 'none', blobs: 'go, and come from a source' },
  { snapshots: 'the upper ones', blobs: 'go, and come from a source', killed: true },
]
const BASE = 'example.com/endurance'

await describeContainerd('ten days of damage and unpacking', (version) => {
  const modern = isAtLeast(version, '2.3')
  const snapshotters = ['overlayfs', 'native', ...(modern ? ['erofs', ...(nydus ? ['nydus'] : [])] : [])]
  let containerd: TestContainerd
  let backend: ContainerdBackend
  let directory: string
  let archive: string
  let image: BuiltImage

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-endurance-'))
    archive = join(directory, 'image.tar')
    containerd = await startContainerd({ version, nydus: modern && nydus })
    backend = await containerd.connect()
    image = layeredImage('endurance')
    await writeOciArchive(image, archive, { ref: '1' })
    await bringBack()
  })
  afterAll(async () => {
    await containerd?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  /** All blobs of the image, from the archive. */
  async function bringBack(): Promise<void> {
    await containerd.importArchive(archive, { baseName: BASE })
  }

  /** Returns when the garbage collector has been through. */
  async function collect(): Promise<void> {
    const { id } = await backend.leases.create()
    await backend.leases.delete(id, { sync: true })
  }

  /** How many layers of the chain it leaves. */
  async function damage({ snapshots, blobs }: Damage, snapshotter: string): Promise<number> {
    const left = { all: 0, 'the upper ones': 2, none: image.chainIDs.length }[snapshots]
    // Through the collector: a snapshot that something refers to cannot be taken away for good.
    await backend.content.label(image.config.digest, {
      [`containerd.io/gc.ref.snapshot.${snapshotter}`]: image.chainIDs[left - 1] ?? '',
    })
    await collect()
    if (blobs !== 'stay') for (const { digest } of image.layers) await backend.content.remove(digest)
    return left
  }

  /** An unpack that is killed on its way; how it ended. */
  async function killOne(planned: Planned, blobs: Damage['blobs']): Promise<string | undefined> {
    await writeFile(join(directory, 'plan.json'), planned.bytes)
    const task = { backend: { address: containerd.address }, plan: join(directory, 'plan.json'), killAfter: 6 }
    // What it lacks it would find out before it begins.
    const end = await runChild(blobs === 'stay' ? task : { ...task, sources: [`oci-archive:${archive}`] })
    return end.signal ?? end.error?.code
  }

  async function expectAllRight({ plan }: Planned, snapshotter: string): Promise<void> {
    expect(await verifyChain({ backend, plan })).toMatchObject({ ok: true })
    expect(await leftovers(backend, snapshotter)).toEqual([])
    if (snapshotter === 'nydus') return
    expect(await compareTree({ backend, plan, contents: true })).toMatchObject({ ok: true, notCompared: [] })
  }

  test.for(snapshotters)('%s: everything is right at the end of each', async (snapshotter) => {
    const planned = planOf(image, { snapshotter, reference: `${BASE}:1` })
    await unpack({ backend, planned })
    await expectAllRight(planned, snapshotter)
    for (const round of ROUNDS) {
      const left = await damage(round, snapshotter)
      const there = (await all(backend.snapshotter(snapshotter).list())).map(({ name }) => name)
      expect(there.toSorted()).toEqual(image.chainIDs.slice(0, left).toSorted())
      if (round.blobs === 'go, and are imported again') await bringBack()
      expect(round.killed ? await killOne(planned, round.blobs) : 'SIGKILL').toBe('SIGKILL')
      // Our own applier on every other day.
      const applier = ROUNDS.indexOf(round) % 2 === 0 ? 'own' : 'containerd'
      const blobs = round.blobs === 'go, and come from a source' ? { sources: [`oci-archive:${archive}`] } : {}
      const result = await unpack({ backend, planned, applier, blobs })
      // With the blobs of layers below gone, nobody can tell whether containerd wrote those above them right.
      const untold = applier === 'containerd' && round.blobs !== 'stay' && left > 0 ? ['TREE_UNCHECKED'] : []
      const said = result.warnings.filter(({ code }) => !untold.includes(code))
      expect(said).toEqual(planned.plan.warnings)
      // What no unpack needed is missed by who compares.
      if (round.blobs === 'go, and come from a source') await bringBack()
      await expectAllRight(planned, snapshotter)
      await collect()
      expect(await verifyChain({ backend, plan: planned.plan })).toMatchObject({ ok: true })
    }
  })
})
