/** The snapshotters and snapshots that `snapshot ls` and `snapshot tree` show. */

import { hasCode } from '../../../errors.ts'
import type { Backend, SnapshotInfo, Snapshotter, Usage } from '../../../node/ports.ts'
import type { Context } from '../../program/context.ts'
import type { OptionSpec } from '../../program/spec.ts'

export const OPTIONAL_SNAPSHOTTER = {
  short: 's',
  value: 'NAME',
  env: 'CONTAINERD_SNAPSHOTTER',
  summary: 'one snapshotter (default: every one that is ready)',
} as const satisfies OptionSpec

/** A snapshot, the snapshotter that has it, and what it takes on disk where that was asked for. */
export interface FoundSnapshot extends SnapshotInfo {
  snapshotter: string
  usage?: Usage
}

/** The kind of a snapshot, and whether its directory is lost. */
export function kindText({ kind, lost }: SnapshotInfo): string {
  return lost ? `${kind}, its directory is lost` : kind
}

/** The snapshotter that the user named, or every one that the node says is ready. */
export async function chosenSnapshotters(backend: Backend, name: string | undefined): Promise<Snapshotter[]> {
  if (name !== undefined) return [backend.snapshotter(name)]
  const plugins = await backend.snapshotters()
  return plugins.filter(({ error }) => error === undefined).map((plugin) => backend.snapshotter(plugin.name))
}

/** Every snapshot of these snapshotters, in the order in which the snapshotters list them. ABORTED. */
export async function listSnapshots(
  context: Context,
  snapshotters: readonly Snapshotter[],
  options: { usage: boolean },
): Promise<FoundSnapshot[]> {
  const found: FoundSnapshot[] = []
  for (const snapshotter of snapshotters) {
    for await (const info of snapshotter.list()) {
      context.signal.throwIfAborted()
      found.push({ ...info, snapshotter: snapshotter.name })
    }
  }
  if (options.usage) {
    const there: FoundSnapshot[] = []
    for (const snapshot of found) {
      context.signal.throwIfAborted()
      const snapshotter = snapshotters.find(({ name }) => name === snapshot.snapshotter)
      const usage = snapshotter && (await usageOrNone(snapshotter, snapshot.name))
      // A snapshot that was removed since the listing is left out, as one removed before it would be.
      if (usage) there.push({ ...snapshot, usage })
    }
    return there
  }
  return found
}

async function usageOrNone(snapshotter: Snapshotter, name: string): Promise<Usage | undefined> {
  try {
    return await snapshotter.usage(name)
  } catch (error) {
    if (hasCode(error, 'SNAPSHOT_NOT_FOUND')) return undefined
    throw error
  }
}
