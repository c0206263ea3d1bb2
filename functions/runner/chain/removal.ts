/** Removes snapshots, also those that only containerd's garbage collector can remove. */
import { hasCode, LayercastError } from '../../errors.ts'
import type { Digest } from '../../image/digest.ts'
import { GC_REF_SNAPSHOT, GC_ROOT } from '../../image/label-names.ts'
import { checkAborted } from '../../kit/abort.ts'
import { cleanUp } from '../../kit/cleanup.ts'
import { retry } from '../../kit/retry.ts'
import { heldBy, statOrNone } from '../../node/or-none.ts'
import type { Backend, Labels, Snapshotter } from '../../node/ports.ts'
import type { EmitOperation } from '../operation/events.ts'
import { removalLease, underLease } from '../operation/lease.ts'

const LEASE_SECONDS = 10 * 60

export interface RemovalOptions {
  /** From the top down. A snapshot that is gone already is passed over. */
  names: readonly string[]
  signal: AbortSignal
  emit?: EmitOperation | undefined
  onRemoved?: ((name: string) => void) | undefined
}

/**
 * Removes snapshots, while a lease holds them. Without the lease containerd's garbage collector would remove the parent of a snapshot
 * that is removed here, and leave its name in the metadata as a child of the next one below: a ghost child. A snapshot with a ghost
 * child cannot be removed by name any more, in every version of containerd (its issue 11908); only the collector can remove it, once
 * nothing refers to it. So where a snapshot has a ghost child, the gc labels that name it and the snapshots below it in `names` are
 * removed, and the collector is called by the end of the lease.
 *
 * FAILED_PRECONDITION where a snapshot has a child that is not among `names`, with `detail.children`, and where something else keeps a
 * snapshot that only the collector can remove. The gc labels are then as before.
 */
export async function removeSnapshots(
  backend: Backend,
  snapshotter: Snapshotter,
  options: RemovalOptions,
): Promise<void> {
  const { names, signal, emit = () => {} } = options
  // Until the collector has run, containerd has the snapshot only struck off its metadata, and a remote snapshotter would answer a
  // Prepare with what it had before.
  const lease = removalLease({ expiresInSeconds: LEASE_SECONDS, signal, emit })
  const labels: RemovedLabels[] = []
  const left = await underLease(backend, lease, async (_, id) => {
    await backend.leases.hold(id, snapshotter.name, names)
    const rest = await removeHeld(snapshotter, options)
    try {
      if (rest.length > 0) await removeGcLabels(backend, snapshotter.name, rest, labels)
    } catch (error) {
      // Before the lease ends, because the collector runs then.
      throw await restoreLabels(backend, labels, error)
    }
    return rest
  })
  try {
    await checkCollected(backend, snapshotter, left)
  } catch (error) {
    throw await restoreLabels(backend, labels, error)
  }
}

/**
 * Removes snapshots that a lease holds.
 *
 * @returns the rest, from the first snapshot on that has a ghost child: the collector removes these once the lease has ended.
 * FAILED_PRECONDITION where one has a child.
 */
export async function removeHeld(snapshotter: Snapshotter, options: RemovalOptions): Promise<string[]> {
  const { names, signal, emit, onRemoved } = options
  for (const [index, name] of names.entries()) {
    checkAborted(signal)
    try {
      await retry(() => snapshotter.remove(name), { what: `remove snapshot ${name}`, signal, emit })
    } catch (error) {
      if (hasGhostChild(error)) return names.slice(index)
      if (!hasCode(error, 'SNAPSHOT_NOT_FOUND')) throw error
    }
    onRemoved?.(name)
  }
  return []
}

/** Whether an error of Remove says that the snapshot has a child, and none is there. */
function hasGhostChild(error: unknown): boolean {
  if (!hasCode(error, 'FAILED_PRECONDITION')) return false
  const { children } = error.detail
  return Array.isArray(children) && children.length === 0
}

/** Checks after a garbage collection that these are gone. FAILED_PRECONDITION, which says what keeps one that is not. */
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
      const held = await heldBy(backend.leases, id)
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

/** The gc labels of one blob, as they were. */
interface RemovedLabels {
  digest: Digest
  labels: Labels
}

/** Removes the gc labels that name these snapshots, and adds them to `removed`. */
async function removeGcLabels(
  backend: Backend,
  snapshotter: string,
  names: readonly string[],
  removed: RemovedLabels[],
): Promise<void> {
  const prefix = `${GC_REF_SNAPSHOT}.${snapshotter}`
  const naming: RemovedLabels[] = []
  for await (const { digest, labels } of backend.content.list()) {
    const found = Object.entries(labels).filter(
      ([key, value]) => (key === prefix || key.startsWith(`${prefix}/`)) && names.includes(value),
    )
    if (found.length > 0) naming.push({ digest, labels: Object.fromEntries(found) })
  }
  for (const one of naming) {
    removed.push(one)
    await backend.content.label(one.digest, Object.fromEntries(Object.keys(one.labels).map((key) => [key, ''])))
  }
}

/** Writes removed labels again, after `error`. Returns the error to throw. */
async function restoreLabels(backend: Backend, removed: readonly RemovedLabels[], error: unknown): Promise<unknown> {
  const steps = removed.map(({ digest, labels }) => ({
    what: `set the gc label of ${digest} back`,
    run: async () => void (await backend.content.label(digest, labels)),
  }))
  return await cleanUp(error, steps)
}
