import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Digest } from '../../../functions/image/digest.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend, ContentStore } from '../../../functions/node/ports.ts'
import { findImage } from '../../../functions/runner/images/find.ts'
import { changed } from '../../support/changed.ts'
import { buildIndex } from '../../support/images/image.ts'
import { failure } from '../unpack/support/failure.ts'
import { smallImage } from '../unpack/support/images.ts'
import { store } from '../unpack/support/stores.ts'
import { imageOn } from './support.ts'

const amd64 = { platform: 'linux/amd64' }

let directory: string
let backend: Backend
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-find-'))
  backend = await openEmbedded({ root: join(directory, 'root') })
})
afterEach(async () => {
  await backend.close()
  await rm(directory, { recursive: true })
})

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}
const write = async (blobs: ReadonlyMap<Digest, Uint8Array>) => {
  for (const [digest, data] of blobs) await backend.content.write({ digest, size: data.length }, once(data))
}

describe('a name', () => {
  const image = smallImage()

  test('is found as it is, and then as containerd would write it', async () => {
    await store(backend, image, 'docker.io/library/test:latest')
    await store(backend, smallImage('odd'), 'Not A Reference')
    const found = await findImage(backend, 'test', amd64)
    expect(found).toEqual({
      reference: 'docker.io/library/test:latest',
      target: image.manifest,
      descriptor: image.manifest,
      manifest: Buffer.from(image.manifestBytes),
      mediaType: image.manifest.mediaType,
      config: Buffer.from(image.configBytes),
    })
    expect((await findImage(backend, 'Not A Reference', amd64)).reference).toBe('Not A Reference')
  })

  test('that is not there is IMAGE_NOT_FOUND, and one that cannot be a name REFERENCE_INVALID', async () => {
    expect(await failure(findImage(backend, 'nosuch', amd64))).toMatchObject({ code: 'IMAGE_NOT_FOUND', exit: 3 })
    expect(await failure(findImage(backend, 'No Such', amd64))).toMatchObject({ code: 'REFERENCE_INVALID', exit: 2 })
  })

  test('of an index leads to the manifest of the platform, and the config decides where the index does not say', async () => {
    const [amd, arm, silent] = [imageOn('amd64'), imageOn('arm64'), imageOn('s390x')] as const
    const index = buildIndex([
      { image: silent },
      { image: arm, platform: { os: 'linux', architecture: 'arm64' } },
      { image: amd, platform: { os: 'linux', architecture: 'amd64' } },
    ])
    await write(index.blobs)
    await backend.images.put('example.com/many:1', index.index)
    const on = async (platform: string) => (await findImage(backend, 'example.com/many:1', { platform })).descriptor
    expect(await on('linux/amd64')).toEqual(amd.manifest)
    expect(await on('linux/arm64')).toEqual(arm.manifest)
    expect(await on('linux/s390x')).toEqual(silent.manifest)
    const error = await failure(on('windows/amd64'))
    expect(error).toMatchObject({ code: 'PLATFORM_NOT_FOUND', exit: 3 })
    expect(error.message).toContain('linux/arm64')
  })

  test('whose manifest or config is missing or damaged is refused by the blob that is it', async () => {
    await store(backend, image, 'example.com/test:1')
    const swapped = (members: Partial<ContentStore>): Backend => ({
      ...backend,
      content: changed(backend.content, members),
    })
    const other = swapped({ read: () => once(new TextEncoder().encode('{}')) })
    expect(await failure(findImage(other, 'example.com/test:1', amd64))).toMatchObject({
      code: 'DIGEST_MISMATCH',
      exit: 5,
    })
    const long = swapped({ read: () => once(new Uint8Array(5_000_000)) })
    expect(await failure(findImage(long, 'example.com/test:1', amd64))).toMatchObject({ code: 'DIGEST_MISMATCH' })
    const large = swapped({
      read: () => once(new Uint8Array(5_000_000)),
      info: async (digest) => ({ ...(await backend.content.info(digest)), size: 5_000_000 }),
    })
    expect(await failure(findImage(large, 'example.com/test:1', amd64))).toMatchObject({ code: 'DOCUMENT_TOO_LARGE' })
    await backend.content.remove(image.config.digest)
    const error = await failure(findImage(backend, 'example.com/test:1', amd64))
    expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3 })
    expect(error.message).toContain(image.config.digest)
  })
})
