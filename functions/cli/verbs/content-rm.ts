/** `layercast content rm` */

import { LayercastError } from '../../errors.ts'
import { fields } from '../program/table.ts'
import { verb } from '../program/verb.ts'
import { DIGESTS, imagesText, listContent, namedDigests } from './shared/content.ts'
import { DRY_RUN } from './shared/options.ts'

export const contentRmVerb = verb({
  path: ['content', 'rm'],
  group: 'Look at a node',
  summary: 'remove blobs',
  description:
    'A blob that an image leads to stays, unless --force is given. Under containerd, once a manifest or a config is ' +
    'gone, the garbage collector takes what only that one led to: layers, and snapshots.',
  arguments: [DIGESTS],
  options: {
    force: { summary: 'also what images lead to' },
    dryRun: DRY_RUN,
  },
  examples: [
    { command: 'content rm sha256:6c3c…', summary: 'one that no image leads to' },
    { command: 'content rm --force sha256:6c3c…', summary: 'a layer of an image, to be fetched again by image import' },
  ],
  async run(context, { args, options }) {
    const backend = await context.backend()
    const digests = await namedDigests(args.DIGEST, await listContent(context, backend))
    const { imagesOfBlobs } = await import('../../runner/content/images-of-blobs.ts')
    // Checked before the first is removed, so that a refusal leaves everything as it was.
    const images = await imagesOfBlobs(backend)
    const used = digests.filter((digest) => images.has(digest))
    if (used.length > 0 && !options.force) {
      const said = used.map((digest) => `${digest} (${imagesText(images.get(digest) ?? [])})`)
      throw new LayercastError('FAILED_PRECONDITION', `images lead to ${said.join(', ')}`, {
        fix: 'Leave these away, or give --force.',
        detail: { blobs: used.map((digest) => ({ digest, images: images.get(digest) })) },
      })
    }
    if (!options.dryRun) {
      for (const digest of digests) {
        context.signal.throwIfAborted()
        await backend.content.remove(digest)
      }
    }
    await context.show({ removed: digests, dryRun: options.dryRun }, () =>
      fields(digests.map((digest) => [options.dryRun ? 'would remove' : 'removed', digest])),
    )
  },
})
