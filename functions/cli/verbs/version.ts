import { fields } from '../output/table.ts'
import { verb } from '../verb.ts'
import { version } from '../version.ts'

export const versionVerb = verb({
  path: ['version'],
  group: 'Look at a node',
  summary: "print layercast's version, and what runs beneath it",
  arguments: [],
  options: { client: { summary: 'leave the backend alone' } },
  examples: [
    { command: 'version', summary: 'versions of layercast, Node and the backend' },
    { command: 'version --client -o json', summary: 'for a script, with no node needed' },
  ],
  async run(context, { options }) {
    const backend = options.client ? undefined : await context.backend()
    const found = {
      layercast: version,
      node: process.versions.node,
      platform: `${process.platform}/${process.arch}`,
      ...(backend && { backend: { kind: backend.kind, version: await backend.version() } }),
    }
    await context.show(found, () =>
      fields([
        ['layercast', found.layercast],
        ['node', found.node],
        ['platform', found.platform],
        ['backend', found.backend && `${found.backend.kind} ${found.backend.version}`],
      ]),
    )
  },
})
