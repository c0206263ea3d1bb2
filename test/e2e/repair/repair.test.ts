import { execFile } from 'node:child_process'
import { chmodSync, chownSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import { repairChain } from '../../../functions/runner/repair/repair.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { compareTree } from '../../../functions/runner/verify/compare-tree.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { leftovers } from '../../runner/unpack/support/stores.ts'
import { childProgram } from '../../support/child-program.ts'
import { collect } from '../../support/collect.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { damageLabel, labelDamages, madeAt, misplace } from '../../support/damage.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { errorOf } from '../../support/layercast.ts'
import { directoryOf } from '../../support/snapshot-directory.ts'
import type { RepairTask } from './support/child.ts'

const CHILD = join(import.meta.dirname, 'support/child.ts')

await describeContainerd('verify and repair', (version) => {
  let containerd: TestContainerd
  let backend: ContainerdBackend

  beforeAll(async () => {
    containerd = await startContainerd({ version })
    backend = await containerd.connect()
  })
  afterAll(() => containerd?.stop())

  let count = 0
  /** An image of its own for a test, there for overlayfs. */
  const bring = async (): Promise<{ image: BuiltImage; name: string }> => {
    const base = `example.com/repair-${++count}`
    const image = smallImage(base)
    return { image, ...(await containerd.importImage(image, base, { snapshotter: 'overlayfs' })) }
  }

  describe.each(['native', 'overlayfs'])('under %s', (snapshotter) => {
    let image: BuiltImage
    let name: string
    let planned: Planned
    const verify = () => verifyChain({ backend, plan: planned.plan })
    const repair = (options = {}) => repairChain({ backend, planned, ...options })

    beforeEach(async () => {
      ;({ image, name } = await bring())
      planned = planOf(image, { snapshotter, reference: name })
      if (snapshotter !== 'overlayfs') await unpack({ backend, planned })
    })

    test.runIf(snapshotter === 'native')(
      'every single label dropped, changed, swapped or added is found, named and mended where it stands',
      async () => {
        await repair()
        const made = await madeAt(backend, planned.plan)
        for (const damage of labelDamages(planned.plan)) {
          await damageLabel(backend, planned.plan, damage)
          const report = await verify()
          const wrong = report.layers.flatMap(({ chainID, problems }) => problems.map((each) => ({ chainID, ...each })))
          expect(wrong).toMatchObject([{ chainID: damage.chainID, key: damage.key }])
          expect({ damage, ok: (await repair()).ok }).toEqual({ damage, ok: true })
          expect(await verify()).toMatchObject({ ok: true, state: 'ready' })
        }
        expect(await madeAt(backend, planned.plan)).toEqual(made)
        expect(await leftovers(backend, snapshotter)).toEqual([])
      },
    )

    test('what was touched, removed, and given another mode or owner in a snapshot is found and made again', async () => {
      await repair()
      const top = await directoryOf(backend, snapshotter, image.chainIDs[2] ?? '')
      expect(await compareTree({ backend, plan: planned.plan, contents: true })).toMatchObject({
        ok: true,
        compared: 3,
      })
      writeFileSync(join(top, 'var/stray'), '')
      rmSync(join(top, 'etc/motd'))
      chmodSync(join(top, 'etc'), 0o777)
      chownSync(join(top, 'var'), 12, 34)
      const json = await containerd.layercast('verify', name, '-s', snapshotter, '--deep', '-o', 'json')
      expect([json.status, errorOf(json).code]).toEqual([5, 'VERIFICATION_FAILED'])
      const { tree, state } = JSON.parse(json.stdout.toString()) as { tree: { differences: object[] }; state: string }
      expect(state).toBe('ready')
      // Under overlayfs the file of the layer below shows again; native has none below.
      expect(tree.differences).toEqual(
        expect.arrayContaining([
          { code: 'MODE', path: 'etc', expected: '0711', actual: '0777' },
          { code: 'OWNER', path: 'var', expected: '0:0', actual: '12:34' },
          { code: 'EXTRA', path: 'var/stray', actual: 'file' },
          expect.objectContaining({ path: 'etc/motd' }),
        ]),
      )
      expect((await containerd.layercast('verify', name, '-s', snapshotter)).status).toBe(0)
      const made = await madeAt(backend, planned.plan)
      const dry = await containerd.layercast('repair', name, '-s', snapshotter, '--deep', '--dry-run')
      expect([dry.status, dry.stderr]).toEqual([0, ''])
      expect(dry.stdout.toString()).toMatch(/made again: wrong tree/)
      expect(await madeAt(backend, planned.plan)).toEqual(made)
      const done = await containerd.layercast('repair', name, '-s', snapshotter, '--deep', '-o', 'json')
      expect([done.status, done.stderr]).toEqual([0, ''])
      expect(JSON.parse(done.stdout.toString())).toMatchObject({
        ok: true,
        decision: { make: [2] },
        treeAfter: { ok: true },
      })
      expect((await madeAt(backend, planned.plan)).slice(0, 2)).toEqual(made.slice(0, 2))
      expect((await containerd.layercast('verify', name, '-s', snapshotter, '--deep', '--contents')).status).toBe(0)
      expect(await leftovers(backend, snapshotter)).toEqual([])
    })

    test('a container that stands on what must be made again is named, and nothing is changed', async () => {
      await repair()
      const top = await directoryOf(backend, snapshotter, image.chainIDs[2] ?? '')
      writeFileSync(join(top, 'var/stray'), '')
      const id = `container-${snapshotter}`
      await containerd.ctr('containers', 'create', '--snapshotter', snapshotter, name, id)
      const made = await madeAt(backend, planned.plan)
      const refused = await containerd.layercast('repair', name, '-s', snapshotter, '--deep', '-o', 'json')
      expect([refused.status, errorOf(refused).code]).toEqual([1, 'SNAPSHOT_IN_USE'])
      expect(errorOf(refused).message).toContain(`container ${id}`)
      expect(await madeAt(backend, planned.plan)).toEqual(made)
      expect(await verify()).toMatchObject({ ok: true })
      // A label needs no snapshot made again, and so is mended under the container.
      await damageLabel(backend, planned.plan, { ...labelDamages(planned.plan)[0]! })
      expect((await repair()).ok).toBe(true)
      await containerd.ctr('containers', 'rm', id)
      expect(await repair({ deep: true })).toMatchObject({ ok: true, decision: { make: [2] } })
    })
  })

  test('what an unpacker without labels has made is said to be unlabelled, and labelled where it stands', async () => {
    const { image, name } = await bring()
    const planned = planOf(image, { snapshotter: 'overlayfs', reference: name })
    expect(await verifyChain({ backend, plan: planned.plan })).toMatchObject({ ok: false, state: 'unlabelled' })
    const made = await madeAt(backend, planned.plan)
    const repaired = await repairChain({ backend, planned, deep: true })
    expect(repaired).toMatchObject({ ok: true, decision: { remove: [], make: [] }, after: { state: 'ready' } })
    expect(await madeAt(backend, planned.plan)).toEqual(made)
  })

  describe('a chain that is not whole', () => {
    let image: BuiltImage
    let name: string
    let planned: Planned
    const GC = 'containerd.io/gc.ref.snapshot.native'

    beforeEach(async () => {
      ;({ image, name } = await bring())
      planned = planOf(image, { reference: name })
      await unpack({ backend, planned })
    })

    /** Takes the upper layers away, and has the collector through. */
    const cut = async (index: number): Promise<void> => {
      await backend.content.label(image.config.digest, { [GC]: image.chainIDs[index - 1] ?? '' })
      await collect(backend)
      await gone(image.chainIDs[index] ?? '')
    }
    const gone = async (chainID: string): Promise<void> => {
      for (const deadline = Date.now() + 15_000; Date.now() < deadline; await sleep(50)) {
        const there = await backend
          .snapshotter('native')
          .stat(chainID)
          .then(
            () => true,
            () => false,
          )
        if (!there) return
      }
      throw new Error(`${chainID} stays`)
    }

    test('a layer without its parent in the middle of the chain is found, and made again from there on', async () => {
      await cut(1)
      await misplace(backend, planned.plan, 1, '')
      const report = await verifyChain({ backend, plan: planned.plan })
      expect(report).toMatchObject({
        state: 'broken',
        layers: [{}, { problems: [{ code: 'PARENT_WRONG', actual: '' }] }, {}],
      })
      // Nothing refers to the lowest layer any more: the collector may have taken it.
      const { ok, decision } = await repairChain({ backend, planned, deep: true })
      expect({ ok, make: decision.make }).toEqual({ ok: true, make: expect.arrayContaining([1, 2]) as number[] })
    })

    test('a top without its parent, as containerd 2.1 makes one that is given another, does not pass as ready', async () => {
      await cut(2)
      await misplace(backend, planned.plan, 2, '')
      const ran = await containerd.layercast('verify', name, '-s', 'native')
      expect([ran.status, ran.stdout.toString()]).toEqual([5, expect.stringMatching(/state +broken/)])
      const done = await containerd.layercast('repair', name, '-s', 'native')
      expect([done.status, done.stdout.toString()]).toEqual([0, expect.stringMatching(/made again: wrong parent/)])
      expect((await containerd.layercast('verify', name, '-s', 'native', '--deep')).status).toBe(0)
    })

    test('killed at any event and run again, it ends well', { timeout: 300_000 }, async () => {
      const plan = join(containerd.files, 'plan.json')
      await writeFile(plan, planned.bytes)
      const program = await childProgram(CHILD)
      const child = (task: Partial<RepairTask>): Promise<{ events: number; ok?: boolean; killed: boolean }> =>
        new Promise((resolve, reject) => {
          const all: RepairTask = { backend: { address: containerd.address }, plan, ...task }
          execFile(process.execPath, [program, JSON.stringify(all)], (error, stdout) => {
            if (error && error.signal !== 'SIGKILL') reject(error)
            else if (error) resolve({ events: 0, killed: true })
            else resolve({ ...(JSON.parse(stdout) as { events: number; ok?: boolean }), killed: false })
          })
        })
      const damage = async (): Promise<void> => {
        await cut(1)
        await misplace(backend, planned.plan, 1, '')
      }
      await damage()
      const whole = await child({})
      expect(whole).toMatchObject({ ok: true })
      expect(whole.events).toBeGreaterThan(20)
      // Every call is a point of its own in the tests over the embedded backend; here each costs a process or two.
      const step = Math.ceil(whole.events / 8)
      let kills = 0
      for (let killAfter = 1; killAfter <= whole.events; killAfter += step) {
        await damage()
        // How often progress is told varies: a run may have ended before its last events.
        const ended = await child({ killAfter })
        expect(ended.killed || ended.ok).toBe(true)
        kills += Number(ended.killed)
        const again = await child({})
        expect({ killAfter, ...again }).toMatchObject({ killAfter, ok: true })
        expect(await verifyChain({ backend, plan: planned.plan })).toMatchObject({ ok: true, state: 'ready' })
        for (const deadline = Date.now() + 15_000; Date.now() < deadline; await sleep(50)) {
          if ((await leftovers(backend, 'native')).length === 0) break
        }
        expect(await leftovers(backend, 'native')).toEqual([])
      }
      expect(kills).toBeGreaterThan(5)
    })
  })

  test('verify --all looks at every image under every snapshotter that it is unpacked under', async () => {
    const { image, name } = await bring()
    await repairChain({ backend, planned: planOf(image, { snapshotter: 'overlayfs', reference: name }) })
    await unpack({ backend, planned: planOf(image, { snapshotter: 'native', reference: name }) })
    const { name: unlabelled } = await bring()
    const ran = await containerd.layercast('verify', '--all', '--deep', '-o', 'json')
    expect([ran.status, errorOf(ran).code]).toEqual([5, 'VERIFICATION_FAILED'])
    const found = JSON.parse(ran.stdout.toString()) as {
      names: string[]
      snapshotter: string
      ok: boolean
      report: { state: string }
      tree: { ok: boolean }
    }[]
    const of = (wanted: string) =>
      found
        .filter(({ names }) => names[0] === wanted)
        .map(({ snapshotter, ok, report, tree }) => [snapshotter, ok, report.state, tree.ok])
    expect(of(name)).toEqual([
      ['native', true, 'ready', true],
      ['overlayfs', true, 'ready', true],
    ])
    expect(of(unlabelled)).toEqual([['overlayfs', false, 'unlabelled', true]])
    const table = await containerd.layercast('verify', '--all', '-s', 'native')
    expect(table.status).toBe(5)
    expect(table.stdout.toString()).toMatch(new RegExp(`${name} +native +3 +ready`))
    expect(table.stdout.toString()).toMatch(new RegExp(`${unlabelled} +native +3 +absent`))
  })
})
