import { estargzImage, type Pushable } from '../../support/containerd/remote.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { remoteSuite } from './suites/remote.ts'

const pushable = ({ manifest, blobs }: BuiltImage): Pushable => ({ target: manifest, blobs })

await remoteSuite({
  name: 'stargz',
  convert: async (directory, { tars }) => pushable(await estargzImage(directory, { layers: tars })),
  convertPartly: async (directory, { tars }) => pushable(await estargzImage(directory, { layers: tars }, [1])),
  writes: [],
})
