import { withSociIndex } from '../../support/containerd/remote.ts'
import { remoteSuite } from './suites/remote.ts'

await remoteSuite({
  name: 'soci',
  convert: (directory, image) => withSociIndex(directory, image),
  convertPartly: (directory, image) => withSociIndex(directory, image, (image.layers[1]?.size ?? 0) + 1),
  writes: ['remote/namespace', 'remote/has.soci.index.digest'],
  least: {
    version: '1.7',
    why: 'containerd 1.6 does not tell a proxy plugin the namespace, without which soci prepares nothing',
  },
})
