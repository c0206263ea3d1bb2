/** `layercast image ls` */

import { isIndex } from '../../image/media-type.ts'
import type { ImageRecord } from '../../node/ports.ts'
import { table } from '../program/table.ts'
import { age, labelText } from '../program/text.ts'
import { verb } from '../program/verb.ts'

export const imageLsVerb = verb({
  path: ['image', 'ls'],
  group: 'Look at a node',
  summary: 'list the images that the node holds',
  arguments: [],
  options: { labels: { summary: "show each image's labels" } },
  examples: [
    { command: 'image ls', summary: "the images of containerd's default namespace" },
    { command: 'image ls -n k8s.io -o json', summary: "what the kubelet's pods run from, for a script" },
  ],
  async run(context, { options }) {
    const backend = await context.backend()
    const images: ImageRecord[] = []
    for await (const image of backend.images.list()) {
      context.signal.throwIfAborted()
      images.push(image)
    }
    images.sort((one, other) => (one.name < other.name ? -1 : 1))
    await context.show(images, () =>
      table(images, [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'DIGEST', value: ({ target }) => target.digest },
        { title: 'KIND', value: ({ target }) => (isIndex(target.mediaType) ? 'index' : 'manifest') },
        { title: 'AGE', value: ({ createdAt }) => age(createdAt), align: 'right' },
        ...(options.labels ? [{ title: 'LABELS', value: ({ labels }: ImageRecord) => labelText(labels) }] : []),
      ]),
    )
  },
})
