import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LayercastError } from '../../../functions/errors.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import { dryRunRepair, repairChain } from '../../../functions/runner/repair/repair.ts'
import { dryRun } from '../../../functions/runner/unpack/dry-run.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyAll } from '../../../functions/runner/verify/all.ts'
import { compareTree } from '../../../functions/runner/verify/compare-tree.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { all } from '../../support/all.ts'
import { misplace } from '../../support/damage.ts'
import { smallImage } from '../unpack/support/images.ts'
import { intercept } from '../unpack/support/intercept.ts'
import { planOf, REFERENCE } from '../unpack/support/plans.ts'
import { sandbox, type Sandbox } from '../unpack/support/sandbox.ts'
import { leftovers, store } from '../unpack/support/stores.ts'

const SNAPSHOTTER = 'overlayfs'
/** Whether long runs are met at every call, for minutes, rather than at some. */
const EVERY_CALL = process.env['LAYERCAST_TEST_EVERY_CALL'] !== undefined
const image = smallImage()
const { signal } = new AbortController()

/** The backend without a way to look into a snapshot but by a view, as under containerd. */
function viewing(backend: Backend): Backend {
  return {
    ...backend,
    snapshotter: (name) =>
      new Proxy(backend.snapshotter(name), {
        get: (target, key) => {
          if (key === 'peek') return undefined
          const value: unknown = Reflect.get(target, key, target)
          return typeof value === 'function' ? (value.bind(target) as unknown) : value
        },
      }),
    withLease: (id) => viewing(backend.withLease(id)),
  }
}

describe('what goes between any two calls', () => {
  let box: Sandbox
  let planned: Planned

  beforeEach(async () => {
    box = await sandbox(image)
    planned = planOf(image, { snapshotter: SNAPSHOTTER })
  })
  afterEach(() => box.close())

  /** As the collector does: from the top down to this one, as far as nothing stands on them. */
  const takeSnapshots = async (from: number): Promise<void> => {
    for (const chainID of image.chainIDs.slice(from).toReversed()) {
      try {
        await box.backend.snapshotter(SNAPSHOTTER).remove(chainID)
      } catch (error) {
        if (!(error instanceof LayercastError)) throw error
      }
    }
  }
  const takeBlob = async (): Promise<void> => {
    await box.backend.content.remove(image.layers[2]?.digest ?? ('' as never)).catch(() => undefined)
  }
  const takeImage = async (): Promise<void> => {
    await box.backend.images.remove(REFERENCE).catch(() => undefined)
    await takeSnapshots(0)
    for (const digest of image.blobs.keys()) await box.backend.content.remove(digest).catch(() => undefined)
  }
  const restore = async (): Promise<void> => {
    await store(box.backend, image)
    expect((await repairChain({ backend: box.backend, planned })).ok).toBe(true)
  }

  const deepLook = async (backend: Backend) => {
    const { plan } = planned
    const tree = await compareTree({ backend, plan, contents: true })
    return { tree, report: await verifyChain({ backend, plan }) }
  }
  const SOUND = async (): Promise<void> => undefined
  /** The top is not there, and the one below stands on no other: both are made again, on the lowest, which stays. */
  const BROKEN = async (): Promise<void> => {
    await takeSnapshots(1)
    await misplace(box.backend, planned.plan, 1, '')
  }
  const works: [string, (backend: Backend) => Promise<unknown>, before?: () => Promise<void>][] = [
    ['verify --deep', deepLook],
    ['verify --deep by views', (backend) => deepLook(viewing(backend))],
    ['verify --all', (backend) => all(verifyAll({ backend, signal, deep: true }))],
    ['repair --deep --dry-run', (backend) => dryRunRepair({ backend, planned, deep: true })],
    ['repair --deep by views', (backend) => repairChain({ backend: viewing(backend), planned, deep: true })],
    ['unpack --dry-run', (backend) => dryRun({ backend, plan: planned.plan })],
    ['unpack of what is there', (backend) => unpack({ backend, planned })],
    ['unpack of the upper layers', (backend) => unpack({ backend, planned }), () => takeSnapshots(1)],
    ['repair of a broken chain', (backend) => repairChain({ backend: viewing(backend), planned, deep: true }), BROKEN],
    ['repair --dry-run of a broken chain', (backend) => dryRunRepair({ backend, planned, deep: true }), BROKEN],
  ]
  /** Answers, where what went is really missing: a blob that is needed, or a layer that was made and taken again. */
  const ANSWERS = new Set(['BLOB_NOT_FOUND', 'CHAIN_INCOMPLETE'])
  const takers: [string, () => Promise<void>][] = [
    ['the top', () => takeSnapshots(2)],
    ['all snapshots', () => takeSnapshots(0)],
    ['a blob', takeBlob],
  ]

  describe.each(works)('%s', (_, work, before = SOUND) => {
    test.each(takers)('goes on when %s is gone', { timeout: 120_000 }, async (_taken, take) => {
      let calls = 0
      let at = 0
      const losing = intercept(box.backend, async (_call, goOn) => {
        if (++calls === at) await take()
        return goOn()
      })
      await restore()
      await before()
      await work(losing)
      const whole = calls
      expect(whole).toBeGreaterThan(1)
      await restore()
      const step = whole > 40 && !EVERY_CALL ? Math.ceil(whole / 4) : 1
      for (at = 1; at <= whole; at += step) {
        await before()
        calls = 0
        const failure = await work(losing).then(
          () => undefined,
          (error: unknown) =>
            error instanceof LayercastError && before !== SOUND && ANSWERS.has(error.code) ? undefined : error,
        )
        expect({ at, failure }).toEqual({ at, failure: undefined })
        await restore()
        expect(await leftovers(box.backend, SNAPSHOTTER)).toEqual([])
      }
    })
  })

  test('a snapshot that goes before it is looked into is missing, and that is what is said', async () => {
    await restore()
    let views = 0
    const losing = intercept(viewing(box.backend), async ({ name }, goOn) => {
      if (name === 'snapshotter.view' && ++views === 1) await takeSnapshots(1)
      return goOn()
    })
    const { tree, report } = await deepLook(losing)
    expect(tree).toMatchObject({ ok: true, compared: 1, notCompared: [{ index: 1 }, { index: 2 }] })
    expect(report).toMatchObject({ ok: false, state: 'partial' })
  })

  test('an image that is removed while all are verified is no failure', async () => {
    await restore()
    let calls = 0
    let at = 0
    const losing = intercept(box.backend, async (_call, goOn) => {
      if (++calls === at) await takeImage()
      return goOn()
    })
    await all(verifyAll({ backend: losing, signal, deep: true }))
    const whole = calls
    for (at = 1; at <= whole; at++) {
      calls = 0
      const found = await all(verifyAll({ backend: losing, signal, deep: true }))
      expect({ at, failed: found.filter(({ error, report }) => error ?? report?.ok === false) }).toEqual({
        at,
        failed: [],
      })
      await restore()
    }
  })
})
