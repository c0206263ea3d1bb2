/** `layercast snapshot ls` */

import { table } from '../program/table.ts'
import { age, bytes } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import {
  chosenSnapshotters,
  listSnapshots,
  kindText,
  OPTIONAL_SNAPSHOTTER,
  type FoundSnapshot,
} from './shared/snapshots.ts'

export const snapshotLsVerb = verb({
  path: ['snapshot', 'ls'],
  group: 'Look at a node',
  summary: 'list snapshots',
  arguments: [],
  options: {
    snapshotter: OPTIONAL_SNAPSHOTTER,
    usage: { summary: 'ask what each takes on disk, which some snapshotters answer slowly' },
  },
  examples: [
    { command: 'snapshot ls', summary: 'every snapshot of every snapshotter' },
    { command: 'snapshot ls -s native -o json', summary: 'with all labels, for a script' },
  ],
  async run(context, { options }) {
    const snapshotters = await chosenSnapshotters(await context.backend(), options.snapshotter)
    const found = await listSnapshots(context, snapshotters, options)
    await context.show(found, () =>
      table(found, [
        { title: 'SNAPSHOTTER', value: ({ snapshotter }) => snapshotter },
        { title: 'NAME', value: ({ name }) => name },
        { title: 'PARENT', value: ({ parent }) => parent },
        { title: 'KIND', value: (info) => kindText(info) },
        ...(options.usage
          ? [
              {
                title: 'SIZE',
                value: ({ usage }: FoundSnapshot) => (usage ? bytes(usage.size) : ''),
                align: 'right' as const,
              },
            ]
          : []),
        { title: 'LABELS', value: ({ labels }) => String(Object.keys(labels).length), align: 'right' },
        { title: 'AGE', value: ({ createdAt }) => age(createdAt), align: 'right' },
      ]),
    )
  },
})
