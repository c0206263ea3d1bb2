/** Removing snapshots by name, also those that containerd alone can take. */
import { hasCode, LayercastError } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import { GC_REF_SNAPSHOT, GC_ROOT } from '../../image/label-names.ts'
import { checkAborted } from '../../kit/abort.ts'
import { cleanUp } from '../../kit/cleanup.ts'
import { retry } from '../../kit/retry.ts'
import { statOrNone } from '../../node/or-none.ts'
import type { Backend, Labels, Snapshotter } from '../../node/ports.ts'
import type { EmitOperation } from '../operation/events.ts'
import { REMOVAL, underLease } from '../operation/lease.ts'
import { heldBy } from '../operation/left-behind.ts'

const HOLD_SECONDS = 10 * 60

export interface RemovalOptions {
  /** From the top down; what is gone already is passed over. */
  names: readonly string[]
  signal: AbortSignal
  emit?: EmitOperation
  onRemoved?: (name: string) => void
}

/**
 * Removes snapshots.
 *
 * A lease holds them meanwhile. Without it containerd's collector takes what is below a removed snapshot, and leaves its
 * name in the books as a child of the one further below, which nobody can remove from then on (containerd's issue 11908,
 * in every version): only the collector can, once nothing refers to it. Where a snapshot has such a ghost of a child, the
 * gc labels that name it are taken away, since they would name nothing, and the collector is asked to come.
 *
 * FAILED_PRECONDITION where a snapshot has a child that is not among these, named in `detail.children`, and where something
 * else keeps one that only the collector can take.
 */
export async function removeSnapshots(
  backend: Backend,
  snapshotter: Snapshotter,
  options: RemovalOptions,
): Promise<void> {
  const { names, signal, emit = () => {} } = options
  const lease = { purpose: REMOVAL, expiresInSeconds: HOLD_SECONDS, signal, emit, untidy: () => true }
  // With the end of the lease the collector comes, and has the snapshotter remove what containerd has only struck off its
  // books: until then a remote one answers a Prepare with what it had before.
  const labels: TakenLabel[] = []
  const left = await underLease(backend, lease, async (_, id) => {
    await backend.leases.hold(id, snapshotter.name, names)
    const haunted = await removeHeld(snapshotter, options)
    try {
      if (haunted.length > 0) await takeLabels(backend, snapshotter.name, haunted, labels)
    } catch (error) {
      // Before the lease ends, with which the collector comes.
      throw await giveBack(backend, labels, error)
    }
    return haunted
  })
  try {
    await checkCollected(backend, snapshotter, left)
  } catch (error) {
    throw await giveBack(backend, labels, error)
  }
}

/**
 * Removes them, which a lease must hold. Gives those that are left from the first one on that has a ghost of a child: the
 * collector takes them once the lease has ended. FAILED_PRECONDITION where one has a child.
 */
export async function removeHeld(snapshotter: Snapshotter, options: RemovalOptions): Promise<string[]> {
  const { names, signal, emit, onRemoved } = options
  for (const [index, name] of names.entries()) {
    checkAborted(signal)
    try {
      await retry(() => snapshotter.remove(name), {
        what: `remove snapshot ${name}`,
        signal,
        ...(emit === undefined ? {} : { emit }),
      })
    } catch (error) {
      if (isGhost(error)) return names.slice(index)
      if (!hasCode(error, 'SNAPSHOT_NOT_FOUND')) throw error
    }
    onRemoved?.(name)
  }
  return []
}

/** Whether a snapshot could not be removed because of a child that is not there. */
function isGhost(error: unknown): boolean {
  if (!hasCode(error, 'FAILED_PRECONDITION')) return false
  const { children } = error.detail
  return Array.isArray(children) && children.length === 0
}

/** FAILED_PRECONDITION where the collector, which has been through, has left one of these, with what keeps it. */
export async function checkCollected(
  backend: Backend,
  snapshotter: Snapshotter,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    const info = await statOrNone(snapshotter, name)
    if (info === undefined) continue
    const leases: string[] = []
    for await (const { id } of backend.leases.list()) {
      const held = await heldBy(backend, id)
      if (held.some(({ snapshotter: of, key }) => of === snapshotter.name && key === name)) leases.push(id)
    }
    const keepers = [
      ...(info.labels[GC_ROOT] === undefined ? [] : [`its own label ${GC_ROOT}`]),
      ...leases.map((id) => `lease ${id}`),
    ]
    throw new LayercastError(
      'FAILED_PRECONDITION',
      `snapshot ${name} of ${snapshotter.name} has a child in containerd's books that is not there any more, ` +
        `so that only the garbage collector can take it, and ${keepers.join(' and ') || 'something'} keeps it`,
      {
        fix: `Wait until ${keepers.join(' and ') || 'what refers to it (an image, a container, an unpack at work)'} is gone, or take that away (ctr snapshots label, ctr leases rm), and run again: the garbage collector takes it then.`,
        detail: { snapshotter: snapshotter.name, snapshot: name, children: [], keepers },
      },
    )
  }
}

interface TakenLabel {
  digest: Digest
  label: Labels
}

/** Takes the gc labels away that name these snapshots, which are going. Puts them into `taken` as they were. */
async function takeLabels(
  backend: Backend,
  snapshotter: string,
  names: readonly string[],
  taken: TakenLabel[],
): Promise<void> {
  const prefix = `${GC_REF_SNAPSHOT}.${snapshotter}`
  const naming: TakenLabel[] = []
  for await (const { digest, labels } of backend.content.list()) {
    const found = Object.entries(labels).filter(
      ([key, value]) => (key === prefix || key.startsWith(`${prefix}/`)) && names.includes(value),
    )
    if (found.length > 0) naming.push({ digest, label: Object.fromEntries(found) })
  }
  for (const one of naming) {
    taken.push(one)
    await backend.content.label(one.digest, Object.fromEntries(Object.keys(one.label).map((key) => [key, ''])))
  }
}

/** Writes the labels again; gives the error to throw. */
async function giveBack(backend: Backend, labels: readonly TakenLabel[], error: unknown): Promise<unknown> {
  const steps = labels.map(({ digest, label }) => ({
    what: `set the gc label of ${digest} back`,
    run: async () => void (await backend.content.label(digest, label)),
  }))
  return await cleanUp(error, steps)
}
