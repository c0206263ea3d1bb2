import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { compareTree } from '../../../functions/runner/verify/compare-tree.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { runChild } from '../../runner/unpack/support/children.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers } from '../../runner/unpack/support/stores.ts'
import { all } from '../../support/all.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { isAtLeast, nydusProgram } from '../../support/containerd/versions.ts'
import { file } from '../../support/images/entries.ts'
import { buildImage, type BuiltImage } from '../../support/images/image.ts'
import { layeredImage } from '../../support/images/running.ts'
import { writeOciArchive } from '../../support/images/write.ts'
import { start } from '../../support/layercast.ts'

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
/** How often each verb is killed at a moment of its own. For a longer run: LAYERCAST_TEST_KILLS=100. */
const KILLS = Number(process.env['LAYERCAST_TEST_KILLS'] ?? 1)

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

  describe('killed at a random moment', () => {
    const NAME = `${BASE}:1`
    const snapshotter = 'overlayfs'
    const top = (): string => image.chainIDs.at(-1) ?? ''
    let temporary: string

    beforeAll(async () => {
      temporary = join(directory, 'temporary')
      await mkdir(temporary)
      await unpack({ backend, planned: planOf(image, { snapshotter, reference: NAME }) })
    })

    /** Runs the program, and kills it after so many milliseconds. How it ended, and how long it took. */
    async function run(args: readonly string[], killAfterMs?: number) {
      const began = performance.now()
      const child = start(args, { env: { ...containerd.env, TMPDIR: temporary } })
      let said = ''
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
      const ended = once(child, 'close')
      if (killAfterMs !== undefined) void sleep(killAfterMs).then(() => child.kill('SIGKILL'))
      const [status, signal] = (await ended) as [number | null, NodeJS.Signals | null]
      return { status, signal, said, ms: performance.now() - began }
    }

    /** Puts a file into the top layer, so that a repair makes it again. */
    async function stray(): Promise<void> {
      const lease = await backend.leases.create()
      const leased = backend.withLease(lease.id).snapshotter(snapshotter)
      const [mount] = await leased.view('where', top(), {})
      await leased.remove('where')
      await backend.leases.delete(lease.id)
      const lower = mount?.options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length)
      await writeFile(join(lower?.split(':')[0] ?? '', 'stray'), '')
    }

    /** All that a run may leave: leases, views, active snapshots, ingests, mounts, temporary files. */
    async function whatStays(): Promise<string[]> {
      const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
      const ingests = (await containerd.ctr('content', 'active')).trim().split('\n').slice(1)
      return [
        ...(await leftovers(backend, snapshotter)),
        ...ingests.map((line) => `ingest ${line}`),
        ...(await readdir(temporary)).map((name) => `temporary ${name}`),
        ...mounts.filter((line) => line.includes('/layercast/mounts/') && line.includes(containerd.directory)),
      ]
    }

    /** What is killed, what there is before, and what makes all right again. */
    const verbs: Record<string, { before: () => Promise<string[]>; after: (args: string[]) => string[] }> = {
      'image import': {
        async before() {
          const name = `example.com/imported-${randomBytes(4).toString('hex')}:1`
          const path = join(directory, 'imported.tar')
          await writeOciArchive(buildImage({ layers: [[file('random', randomBytes(4 << 20))]] }), path, { ref: '1' })
          return ['image', 'import', `oci-archive:${path}`, '--reference', name]
        },
        after: (args) => args,
      },
      'snapshot rm': {
        before: async () => ['snapshot', 'rm', '-r', '-s', snapshotter, image.chainIDs[1] ?? ''],
        after: () => ['unpack', NAME, '-s', snapshotter],
      },
      'repair --deep': {
        async before() {
          await stray()
          return ['repair', NAME, '-s', snapshotter, '--deep', '--applier', 'own']
        },
        after: (args) => args,
      },
    }

    test.each(Object.keys(verbs))('%s: the next run makes all right, and nothing stays', async (verb) => {
      const { before, after } = verbs[verb] as (typeof verbs)[string]
      const args = await before()
      const whole = await run(args)
      expect(whole).toMatchObject({ status: 0 })
      expect(await run(after(args))).toMatchObject({ status: 0 })
      for (let kill = 0; kill < KILLS; kill++) {
        const dying = await before()
        const at = whole.ms * (0.15 + 0.85 * Math.random())
        const killed = await run(dying, at)
        const next = await run(after(dying))
        expect({ at, killed, next }).toMatchObject({ next: { status: 0 } })
        expect({ at, killed, stays: await whatStays() }).toMatchObject({ stays: [] })
        expect({ at, ...(await run(['verify', NAME, '-s', snapshotter, '--deep'])) }).toMatchObject({ status: 0 })
      }
      // No ghost of a child either, which would keep the top from being removed.
      await backend.snapshotter(snapshotter).remove(top())
      expect(await run(['unpack', NAME, '-s', snapshotter])).toMatchObject({ status: 0 })
    })
  })
})
