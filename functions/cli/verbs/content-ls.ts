/** `layercast content ls` */

import type { ContentInfo } from '../../node/ports.ts'
import { table } from '../program/table.ts'
import { age, labelText } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import { listContent } from './shared/content.ts'

export const contentLsVerb = verb({
  path: ['content', 'ls'],
  group: 'Look at a node',
  summary: 'list the blobs that the node holds',
  description: "It reads none of them: 'layercast content check' does.",
  arguments: [],
  options: {
    quiet: { short: 'q', summary: 'the digests alone' },
    labels: { summary: "show each blob's labels" },
  },
  examples: [
    { command: 'content ls', summary: "the blobs of containerd's default namespace" },
    { command: 'content ls -q --root ./node', summary: 'for a loop in a shell, with no containerd' },
  ],
  async run(context, { options }) {
    const blobs = await listContent(context, await context.backend())
    await context.show(blobs, () =>
      options.quiet
        ? blobs.map(({ digest }) => `${digest}\n`).join('')
        : table(blobs, [
            { title: 'DIGEST', value: ({ digest }) => digest },
            { title: 'SIZE', value: ({ size }) => String(size), align: 'right' },
            { title: 'AGE', value: ({ createdAt }) => age(createdAt), align: 'right' },
            ...(options.labels ? [{ title: 'LABELS', value: ({ labels }: ContentInfo) => labelText(labels) }] : []),
          ]),
    )
  },
})
