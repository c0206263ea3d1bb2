/** `layercast image import` */

import { LayercastError } from '../../errors.ts'
import { isSpec } from '../../runner/sources/spec.ts'
import { fields } from '../program/table.ts'
import { verb } from '../program/verb.ts'
import { withImage } from './shared/image.ts'
import { PLATFORM, REFERENCE } from './shared/options.ts'

export const imageImportVerb = verb({
  path: ['image', 'import'],
  group: 'Look at a node',
  summary: 'import an image from a source to the node, and unpack nothing',
  makesPlace: true,
  arguments: [{ name: 'SOURCE', summary: 'oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or docker://NAME' }],
  options: {
    platform: PLATFORM,
    reference: { ...REFERENCE, summary: 'what to call it (default: what the source calls it)' },
  },
  examples: [
    { command: 'image import docker-archive:nginx.tar', summary: 'what docker save wrote' },
    { command: 'image import oci:./image --reference registry.example/app:1', summary: 'under a name of your own' },
  ],
  async run(context, { args, options }) {
    if (!isSpec(args.SOURCE)) {
      throw new LayercastError('USAGE', `${args.SOURCE} is not a source`, {
        fix: 'Write oci:DIR, oci-archive:FILE, docker-archive:FILE or docker://NAME.',
      })
    }
    const { reference, target, descriptor } = await withImage(context, args.SOURCE, { onNode: true }, (image) =>
      image.import(options),
    )
    await context.show({ name: reference, target, manifest: descriptor }, () =>
      fields([
        ['name', reference],
        ['digest', target.digest],
      ]),
    )
  },
})
