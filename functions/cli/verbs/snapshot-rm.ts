/** `layercast snapshot rm` */

import { LayercastError } from '../../errors.ts'
import type { SnapshotInfo } from '../../node/ports.ts'
import type { PlanWarning } from '../../plan/document.ts'
import type { UnpackEvent } from '../../runner/unpack/types.ts'
import { fields } from '../program/table.ts'
import { verb } from '../program/verb.ts'
import { DRY_RUN, SNAPSHOTTER } from './shared/options.ts'

export const snapshotRmVerb = verb({
  path: ['snapshot', 'rm'],
  group: 'Look at a node',
  summary: 'remove snapshots',
  description:
    'A snapshot that others stand on stays, unless --recursive removes those first. ' +
    "Under containerd, removing a chain's top lets the garbage collector take what is below it and used by nothing else.",
  arguments: [{ name: 'NAME', summary: 'a chain ID, or the key of an active snapshot', many: true }],
  options: {
    snapshotter: { ...SNAPSHOTTER, summary: 'the snapshotter that they are in' },
    recursive: { short: 'r', summary: 'remove what stands on them too, from the top down' },
    dryRun: DRY_RUN,
  },
  examples: [
    { command: 'snapshot rm -s native sha256:6c3c…', summary: 'one snapshot that nothing stands on' },
    {
      command: 'snapshot rm -s native -r sha256:6c3c… --dry-run',
      summary: 'what a whole chain comes to, from that one up',
    },
  ],
  async run(context, { args, options }) {
    const backend = await context.backend()
    const snapshotter = backend.snapshotter(options.snapshotter)
    const warnings: PlanWarning[] = []
    const emit = (event: UnpackEvent): void => {
      if (event.type === 'warning') warnings.push({ code: event.code, detail: event.detail })
      if (event.type === 'lease') context.detail(`lease ${event.id} ${event.step}`)
    }
    const { removeSnapshots } = await import('../../runner/chain/removal.ts')
    const { dropLeftBehind, removeUnfinished } = await import('../../runner/operation/left-behind.ts')
    // A view that a killed run left on them would block the removal.
    if (!options.dryRun) await removeUnfinished(backend, emit)
    const all: SnapshotInfo[] = []
    for await (const info of snapshotter.list()) all.push(info)

    const order = new Set<string>()
    for (const name of args.NAME) {
      if (!all.some((info) => info.name === name)) {
        throw new LayercastError('SNAPSHOT_NOT_FOUND', `there is no snapshot ${name} in ${snapshotter.name}`, {
          fix: `See what there is with 'layercast snapshot ls -s ${snapshotter.name}'.`,
          detail: { snapshotter: snapshotter.name, snapshot: name },
        })
      }
      for (const key of options.recursive ? above(name, all) : [name]) order.add(key)
    }
    // Checked before the first is removed, so that a refusal leaves everything as it was.
    for (const name of order) {
      const child = all.find((info) => info.parent === name && !order.has(info.name))
      if (child) {
        throw new LayercastError('FAILED_PRECONDITION', `snapshot ${name} has ${child.name} standing on it`, {
          fix: 'Remove that one first, or give --recursive.',
          detail: { snapshotter: snapshotter.name, snapshot: name, child: child.name },
        })
      }
    }
    const removed = topDown(order, all)
    if (!options.dryRun) {
      await removeSnapshots(backend, snapshotter, { names: removed, signal: context.signal, emit })
      await dropLeftBehind(backend, emit)
    }
    const shown = { snapshotter: snapshotter.name, removed, dryRun: options.dryRun }
    await context.show({ ...shown, warnings: warnings.length > 0 ? warnings : undefined }, () =>
      fields([
        ...removed.map((name) => [options.dryRun ? 'would remove' : 'removed', name] as const),
        ...warnings.map(({ code, detail }) => ['warning', `${code}: ${detail}`] as const),
      ]),
    )
  },
})

/** A snapshot and every snapshot above it. */
function above(name: string, all: readonly SnapshotInfo[]): string[] {
  return [name, ...all.filter(({ parent }) => parent === name).flatMap((child) => above(child.name, all))]
}

/** The same names, every snapshot before its parent. */
function topDown(names: ReadonlySet<string>, all: readonly SnapshotInfo[]): string[] {
  const byName = new Map(all.map((info) => [info.name, info]))
  const depth = (name: string): number => {
    const info = byName.get(name)
    return info === undefined || info.parent === '' ? 0 : 1 + depth(info.parent)
  }
  return [...names].sort((one, other) => depth(other) - depth(one))
}
