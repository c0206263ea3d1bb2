/** `layercast version` */

import { LayercastError } from '../../errors.ts'
import type { Context } from '../program/context.ts'
import { asLayercastError } from '../program/failure.ts'
import { fields } from '../program/table.ts'
import { verb } from '../program/verb.ts'
import { version } from '../program/version.ts'

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
    const backend = options.client ? undefined : await backendOf(context)
    const found = {
      layercast: version,
      node: process.versions.node,
      platform: `${process.platform}/${process.arch}`,
      ...(backend && {
        backend:
          backend instanceof LayercastError ? { error: { code: backend.code, message: backend.message } } : backend,
      }),
    }
    await context.show(found, () =>
      fields([
        ['layercast', found.layercast],
        ['node', found.node],
        ['platform', found.platform],
        ['backend', backend && backendText(backend)],
      ]),
    )
    if (backend instanceof LayercastError) throw backend
  },
})

interface Found {
  kind: string
  version: string
}

/** The backend, or the error of opening it, with which the verb ends after it has printed the other versions. */
async function backendOf(context: Context): Promise<Found | LayercastError> {
  try {
    const backend = await context.backend()
    return { kind: backend.kind, version: await backend.version() }
  } catch (error) {
    return asLayercastError(error)
  }
}

function backendText(found: Found | LayercastError): string {
  return found instanceof LayercastError ? `none (${found.code})` : `${found.kind} ${found.version}`
}
