/** `layercast snapshotter ls` */

import { table } from '../program/table.ts'
import { shortLabel } from '../program/text.ts'
import { verb } from '../program/verb.ts'

export const snapshotterLsVerb = verb({
  path: ['snapshotter', 'ls'],
  group: 'Look at a node',
  summary: 'list the snapshotters that the node offers, and the label profiles',
  arguments: [],
  options: { profiles: { summary: 'only the profiles, with no node needed' } },
  examples: [
    { command: 'snapshotter ls', summary: 'which there are, which are ready, and what each needs' },
    { command: 'snapshotter ls --profiles', summary: 'what layercast knows of snapshotters' },
  ],
  async run(context, { options }) {
    const { inferProfile, PROFILES } = await import('../../plan/profiles.ts')
    if (options.profiles) {
      await context.show(PROFILES, () =>
        table(PROFILES, [
          { title: 'PROFILE', value: ({ name }) => name },
          { title: 'BLOBS', value: ({ blob }) => blob },
          { title: 'MUST HAVE', value: ({ requires }) => requires.map(shortLabel).join(' ') },
          { title: 'READS', value: ({ reads }) => reads.map(shortLabel).join(' ') },
        ]),
      )
      return
    }
    const backend = await context.backend()
    const plugins = await backend.snapshotters()
    const found = plugins.map((plugin) => Object.assign({ profile: inferProfile(plugin.name, []).name }, plugin))
    await context.show(found, () =>
      table(found, [
        { title: 'SNAPSHOTTER', value: ({ name }) => name },
        { title: 'PROFILE', value: ({ profile }) => profile },
        { title: 'CAPABILITIES', value: ({ capabilities }) => capabilities.join(' ') },
        { title: 'STATE', value: ({ error }) => (error === undefined ? 'ready' : `not ready: ${error}`) },
      ]),
    )
  },
})
