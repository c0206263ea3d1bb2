import type { Context } from '../context.ts'
import { asLayercastError } from '../output/failure.ts'
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
    const found = {
      layercast: version,
      node: process.versions.node,
      platform: `${process.platform}/${process.arch}`,
      ...(!options.client && { backend: await backendOf(context) }),
    }
    await context.show(found, () =>
      fields([
        ['layercast', found.layercast],
        ['node', found.node],
        ['platform', found.platform],
        ['backend', found.backend && backendText(found.backend)],
      ]),
    )
  },
})

type Found = { kind: string; version: string } | { error: { code: string; message: string } }

/** A backend that does not answer is what someone who asks for versions may well be after: it is no failure here. */
async function backendOf(context: Context): Promise<Found> {
  try {
    const backend = await context.backend()
    return { kind: backend.kind, version: await backend.version() }
  } catch (error) {
    const { code, message } = asLayercastError(error)
    return { error: { code, message } }
  }
}

function backendText(found: Found): string {
  return 'error' in found ? `${found.error.message} (${found.error.code})` : `${found.kind} ${found.version}`
}
