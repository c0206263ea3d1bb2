import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { failure } from '../../runner/unpack/support/failure.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { store } from '../../runner/unpack/support/stores.ts'
import { digestOf } from '../../support/images/image.ts'
import { layercast } from '../../support/layercast.ts'
import { damagedBlobs } from './suites/damaged-blobs.ts'

describe.skipIf(process.getuid?.() !== 0)('damaged blobs with no containerd (as root)', () => {
  let root: string
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'layercast-damaged-'))
  })
  afterAll(() => rm(root, { recursive: true, force: true }))

  damagedBlobs({
    run: (args) => layercast([...args, '--root', root]),
    snapshotter: 'overlayfs',
    fileOf: (digest) => join(root, 'blobs', digest.replace(':', '/')),
  })

  test('another blob of the same content takes the place of an altered one by itself', async () => {
    const image = smallImage('altered, with a stand-in')
    const backend = await openEmbedded({ root })
    try {
      await store(backend, image)
      const [layer, tar] = [image.layers[0], image.tars[0] ?? new Uint8Array()]
      const path = join(root, 'blobs', layer?.digest.replace(':', '/') ?? '')
      await writeFile(path, (await readFile(path)).fill(0, 30, 40))
      const planned = planOf(image, { snapshotter: 'overlayfs' })
      expect(await failure(unpack({ backend, planned }))).toMatchObject({ code: 'DIGEST_MISMATCH', exit: 5 })
      const expected = { digest: digestOf(tar), size: tar.length }
      await backend.content.write(
        expected,
        (async function* () {
          yield tar
        })(),
      )
      const { layers, warnings } = await unpack({ backend, planned })
      expect(layers[0]?.blob).toEqual({ from: 'stand-in', digest: expected.digest })
      expect(warnings).toMatchObject([{ code: 'ORIGIN_REFUSED', detail: expect.stringContaining(layer?.digest ?? '') }])
    } finally {
      await backend.close()
    }
  })
})
