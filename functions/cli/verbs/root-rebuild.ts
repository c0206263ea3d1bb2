/** `layercast root rebuild` */

import { LayercastError } from '../../errors.ts'
import type { Rebuilt } from '../../node/embedded/rebuild/rebuild.ts'
import { fields } from '../program/table.ts'
import { count } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import { DRY_RUN } from './shared/options.ts'

export const rootRebuildVerb = verb({
  path: ['root', 'rebuild'],
  group: 'Look at a node',
  summary: "make the embedded backend's database again, where it is damaged or gone",
  description:
    'Reads what lies under --root: every blob is held against its digest; a snapshot counts where its own record says that ' +
    'it was committed and what it stands on is there; images have the names in their records. The old database and all ' +
    'that cannot be used is moved below set-aside, and nothing is deleted. Where the database is whole, nothing is done.',
  arguments: [],
  options: { dryRun: DRY_RUN },
  examples: [
    { command: 'root rebuild --root ./node --dry-run', summary: 'what would be found, and what is lost' },
    { command: 'root rebuild --root ./node', summary: 'then unpack again what was lost' },
  ],
  async run(context, { options }) {
    const { root, address, backend } = context.globals
    if (backend === 'containerd' || address !== undefined) {
      throw new LayercastError('USAGE', "containerd's database is not layercast's to rebuild", {
        fix: 'Leave --backend and --address away, and give --root.',
      })
    }
    const { rebuildRootAt } = await import('../../node/open.ts')
    const rebuilt = await rebuildRootAt(root, { dryRun: options.dryRun, signal: context.signal })
    await context.show(rebuilt, () => text(rebuilt))
  },
})

function text(rebuilt: Rebuilt): string {
  const { root, damage, images, lostImages, damagedBlobs, lostSnapshots, setAside } = rebuilt
  if (rebuilt.whole) {
    return fields([
      ['root', root],
      ['database', 'whole: nothing to rebuild'],
    ])
  }
  const given = images.filter(({ from }) => from === 'manifest')
  return fields([
    ['root', root],
    ['found', damage],
    [rebuilt.dryRun ? 'would recover' : 'recovered', recovered(rebuilt)],
    ...images.map(({ name, from }): [string, string] => [
      'image',
      from === 'manifest' ? `${name} (its name is lost)` : name,
    ]),
    ...(given.length === 0
      ? []
      : [['names', `give one back with 'layercast image import SOURCE --reference NAME'`] as [string, string]]),
    ...lostImages.map(({ name, digest }): [string, string] => ['lost image', `${name}: ${digest} is not there`]),
    ...damagedBlobs.map((digest): [string, string] => ['damaged blob', digest]),
    ...lostSnapshots.map(({ name, path, why }): [string, string] => ['lost snapshot', `${name ?? path}: ${why}`]),
    ['set aside', setAside],
  ])
}

function recovered({ images, blobs, snapshots }: Rebuilt): string {
  return [count(images.length, 'image'), count(blobs, 'blob'), count(snapshots, 'snapshot')].join(', ')
}
