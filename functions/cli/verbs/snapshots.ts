/** What the `snapshot` verbs have in common: which snapshotters they look at, and what is in them. */
import { hasCode } from '../../errors.ts'
import type { Backend, SnapshotInfo, Snapshotter, Usage } from '../../node/ports.ts'
import type { Context } from '../program/context.ts'
import type { OptionSpec } from '../program/verb.ts'

export const OPTIONAL_SNAPSHOTTER = {
  short: 's',
  value: 'NAME',
  env: 'CONTAINERD_SNAPSHOTTER',
  summary: 'one snapshotter (default: every one that is ready)',
} as const satisfies OptionSpec

/** A snapshot, and where it is. */
export interface Found extends SnapshotInfo {
  snapshotter: string
  usage?: Usage
}

/** What it is, and whether it is still there. */
export function kindText({ kind, lost }: SnapshotInfo): string {
  return lost ? `${kind}, its directory is lost` : kind
}

/** The snapshotters to look at: the one that was named, or all that the node says are ready. */
export async function chosenSnapshotters(backend: Backend, name: string | undefined): Promise<Snapshotter[]> {
  if (name !== undefined) return [backend.snapshotter(name)]
  const plugins = await backend.snapshotters()
  return plugins.filter(({ error }) => error === undefined).map((plugin) => backend.snapshotter(plugin.name))
}

/** Every snapshot of these snapshotters, in the order in which the snapshotters give them. */
export async function findSnapshots(
  context: Context,
  snapshotters: readonly Snapshotter[],
  options: { usage: boolean },
): Promise<Found[]> {
  const found: Found[] = []
  for (const snapshotter of snapshotters) {
    for await (const info of snapshotter.list()) {
      context.signal.throwIfAborted()
      found.push({ ...info, snapshotter: snapshotter.name })
    }
  }
  if (options.usage) {
    const there: Found[] = []
    for (const snapshot of found) {
      context.signal.throwIfAborted()
      const snapshotter = snapshotters.find(({ name }) => name === snapshot.snapshotter)
      const usage = snapshotter && (await usageOrNone(snapshotter, snapshot.name))
      // One that has gone since is no more in the list than one that went before.
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
