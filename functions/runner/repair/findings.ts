/** Looks at a chain, and decides what a repair has to do. */
import type { Backend } from '../../node/ports.ts'
import { compareTree, lowestWrongLayer } from '../verify/compare-tree.ts'
import { verifyChain } from '../verify/verify.ts'
import { decide } from './decide.ts'
import { leaseKept } from './remove-layers.ts'
import type { RepairFindings, RepairOptions } from './types.ts'
import { usersOf, type SnapshotUser } from './users.ts'

/** For how long an unpacker's active snapshot counts as one in which the unpacker still works. */
const UNPACK_MS = 60 * 60 * 1000
/** How many decisions are made while the collector removes the part that was to stay. By the last one it may be made again too. */
const DECISIONS = 3

/** With who uses the snapshots that are to be removed. */
export interface FindingsAndUsers extends RepairFindings {
  users: SnapshotUser[]
}

/** Looks and decides. Changes nothing. Errors as `verifyChain`, and with `deep` as `compareTree`. */
export async function findings(options: RepairOptions): Promise<FindingsAndUsers> {
  const { backend, planned, deep = false } = options
  const { plan } = planned
  const tree = deep ? await compareTree({ ...options, plan }) : undefined
  const wrong = tree === undefined || tree.ok ? undefined : await lowestWrongLayer({ ...options, plan })
  // After the trees, so that a snapshot that vanished while they were compared is missing in the report.
  const before = await verifyChain({ backend, plan })
  const decision = decide(plan, before, wrong)
  const removed = new Set<string>(decision.remove.map(({ chainID }) => chainID))
  const { users, leftovers } =
    removed.size === 0
      ? { users: [], leftovers: [] }
      : await usersOf({ backend, plan, removed, staleBefore: Date.now() - UNPACK_MS })
  return {
    plan: planned.digest,
    reference: plan.reference,
    snapshotter: plan.snapshotter,
    chainID: plan.chainID,
    before,
    ...(tree === undefined ? {} : { tree }),
    decision,
    leftovers,
    users,
  }
}

/**
 * Puts the part of the chain that stays under the repair's lease. Where the collector was faster, there is more to make again: then
 * it looks and decides anew.
 */
export async function findingsUnderLease(
  options: RepairOptions,
  leased: Backend,
  first: FindingsAndUsers,
): Promise<FindingsAndUsers> {
  const { planned, signal = new AbortController().signal } = options
  const { plan } = planned
  const snapshotter = leased.snapshotter(plan.snapshotter)
  let found = first
  for (let made = 1; made < DECISIONS && !(await leaseKept(snapshotter, plan, found.decision, signal)); made++) {
    found = await findings(options)
  }
  return found
}
