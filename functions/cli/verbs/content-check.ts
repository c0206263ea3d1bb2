/** `layercast content check` */

import { LayercastError } from '../../errors.ts'
import type { CheckedBlob } from '../../runner/content/check-content.ts'
import { createProgress } from '../program/progress.ts'
import { table } from '../program/table.ts'
import { count } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import { DIGESTS, imagesText, listContent, namedDigests } from './shared/content.ts'

export const contentCheckVerb = verb({
  path: ['content', 'check'],
  group: 'Look at a node',
  summary: 'read blobs and hold them against their digests',
  description:
    'Every blob, or those that are named. Status 5 where one is damaged: it is named, and the images that it belongs to. ' +
    'Nothing is changed.',
  arguments: [{ ...DIGESTS, optional: true }],
  options: {},
  examples: [
    { command: 'content check -n k8s.io', summary: 'all that the kubelet pulled' },
    { command: 'content check sha256:6c3c… -o json', summary: 'one blob, for a script' },
  ],
  async run(context, { args }) {
    const backend = await context.backend()
    const named =
      args.DIGEST.length > 0 ? await namedDigests(args.DIGEST, await listContent(context, backend)) : undefined
    const { checkContent } = await import('../../runner/content/check-content.ts')
    const progress = createProgress(context.streams)
    let done = 0
    let blobs: CheckedBlob[]
    try {
      blobs = await checkContent({
        backend,
        digests: named,
        signal: context.signal,
        onChecked: (_, of) => progress.set('blobs', { label: 'blobs', state: 'checking', done: ++done, total: of }),
      })
    } finally {
      progress.end()
    }
    const damaged = blobs.filter(({ fault }) => fault !== undefined)
    await context.show({ ok: damaged.length === 0, blobs }, () => text(blobs))
    if (damaged.length > 0) throw damagedBlobs(damaged)
  },
})

function text(blobs: readonly CheckedBlob[]): string {
  return table(blobs, [
    { title: 'DIGEST', value: ({ digest }) => digest },
    { title: 'SIZE', value: ({ size }) => String(size), align: 'right' },
    { title: 'STATE', value: ({ fault }) => (fault === undefined ? 'ok' : `damaged: ${fault}`) },
    { title: 'IMAGES', value: ({ images }) => imagesText(images) },
  ])
}

function damagedBlobs(damaged: readonly CheckedBlob[]): LayercastError {
  const said = damaged.map(({ digest, fault, images }) => {
    const of = images.length === 0 ? 'no image' : images.join(', ')
    return `${digest} ${fault} (${of})`
  })
  const isUseless = damaged.every(({ images }) => images.length === 0)
  return new LayercastError('VERIFICATION_FAILED', `${count(damaged.length, 'blob')} damaged: ${said.join('; ')}`, {
    fix: isUseless
      ? "Remove what no image needs with 'layercast content rm DIGEST'."
      : "Import the image again with 'layercast image import SOURCE', which replaces what is damaged; remove what no image " +
        "needs with 'layercast content rm DIGEST'.",
    detail: { damaged: damaged.map(({ digest, fault, images }) => ({ digest, fault, images })) },
  })
}
