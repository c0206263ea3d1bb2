import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LayercastError, type Code } from '../../../functions/errors.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { smallImage } from './support/images.ts'
import { planOf } from './support/plans.ts'
import { sandbox, watched } from './support/sandbox.ts'
import { leftovers, snapshotNames } from './support/stores.ts'

const SNAPSHOTTER = 'overlayfs'
const image = smallImage()
const planned = planOf(image, { snapshotter: SNAPSHOTTER })

/** The calls that a fault makes useless as a clean-up too: what they leave is not the run's fault. */
const CLEANING = new Set(['snapshotter.remove', 'leases.delete'])
const LOST: Code[] = ['CONTAINERD_FAILED', 'CONTAINERD_UNREACHABLE', 'ABORTED']
/** An answer by which the daemon refuses; then nothing was done. */
const REFUSALS: Code[] = ['ALREADY_EXISTS', 'SNAPSHOT_NOT_FOUND']

interface Fault {
  /** Which call of the run, from 0. */
  at: number
  /** Whether the call has done its work when it fails: the answer was lost. */
  done: boolean
  code: Code
}

const at = fc.nat({ max: 40 })
const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ at, done: fc.boolean(), code: fc.constantFrom(...LOST) }),
  fc.record({ at, done: fc.constant(false), code: fc.constantFrom(...REFUSALS) }),
)

test(
  'whichever calls fail, done or not, nothing half made stays and the next run ends well',
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { minLength: 1, maxLength: 3 }), async (faults) => {
        const box = await sandbox(image)
        try {
          expect(await endingOf(box.backend, faults)).toEqual(WELL)
        } finally {
          await box.close()
        }
      }),
      { numRuns: 200 },
    )
  },
)

const WELL = {
  /** The chain is there exactly when the run said so; or there is an error of the family. */
  honest: true,
  left: [],
  whole: true,
  names: [...image.chainIDs].sort() as string[],
}

async function endingOf(real: Backend, faults: readonly Fault[]): Promise<typeof WELL> {
  let count = 0
  let dirty = false
  const { backend, applier } = watched(real, image, async (call, goOn) => {
    const number = count++
    const due = faults.find((each) => each.at === number)
    if (due === undefined) return goOn()
    if (CLEANING.has(call.name)) dirty = true
    if (due.done) await goOn()
    // A clean-up takes no signal, and no daemon says of what is there that it is not.
    const code = CLEANING.has(call.name) && due.code !== 'CONTAINERD_UNREACHABLE' ? 'CONTAINERD_FAILED' : due.code
    throw new LayercastError(code, `call ${number}, ${call.name}, was to fail`)
  })
  const ended = await unpack({ backend, applier, planned }).then(
    () => undefined,
    (error: unknown) => error,
  )
  const report = await verifyChain({ backend: real, plan: planned.plan })
  const honest = ended === undefined ? report.ok : ended instanceof LayercastError
  const left = dirty ? [] : ((await leftovers(real, SNAPSHOTTER)) as never[])

  await unpack({ ...watched(real, image), planned })
  const { ok } = await verifyChain({ backend: real, plan: planned.plan })
  // What a failed clean-up left is for the collector, who asks the leases.
  for await (const { id } of real.leases.list()) await real.leases.delete(id, { sync: true })
  return { honest, left, whole: ok, names: await snapshotNames(real, SNAPSHOTTER) }
}
