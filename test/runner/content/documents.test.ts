import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Descriptor } from '../../../functions/image/descriptor.ts'
import { parsePlatform } from '../../../functions/image/platform.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { heldDocuments, sourceDocuments } from '../../../functions/runner/content/documents.ts'
import { buildIndex } from '../../support/images/image.ts'
import { imageOn } from '../images/support.ts'
import { failure } from '../unpack/support/failure.ts'
import { intercept } from '../unpack/support/intercept.ts'

const [amd, arm] = [imageOn('amd64'), imageOn('arm64')]
const { index, blobs } = buildIndex([
  { image: amd, platform: { os: 'linux', architecture: 'amd64' } },
  { image: arm, platform: { os: 'linux', architecture: 'arm64' } },
])
const [AMD64, ARM64] = [parsePlatform('linux/amd64'), parsePlatform('linux/arm64')]

async function* once(data: Uint8Array | undefined): AsyncGenerator<Uint8Array> {
  yield data ?? new Uint8Array()
}

let directory: string
let backend: Backend
let read: string[]
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-documents-'))
  const embedded = await openEmbedded({ root: join(directory, 'root') })
  for (const [digest, data] of blobs) await embedded.content.write({ digest, size: data.length }, once(data))
  read = []
  backend = intercept(
    embedded,
    (_, goOn) => goOn(),
    ({ args }) => void read.push(String(args[0])),
  )
})
afterEach(async () => {
  await backend.close()
  await rm(directory, { recursive: true })
})

const damage = (digest: string) => writeFile(join(directory, 'root/blobs', digest.replace(':', '/')), 'damaged')

test('documents of the content store are read once, with their digests', async () => {
  const found = await heldDocuments(backend.content)(index, AMD64)
  expect(found.indexes.map(({ descriptor }) => descriptor.digest)).toEqual([index.digest])
  expect(Buffer.from(found.manifest.bytes).equals(amd.manifestBytes)).toBe(true)
  expect(Buffer.from(found.config.bytes).equals(amd.configBytes)).toBe(true)
  expect(read).toEqual([index.digest, amd.manifest.digest, amd.config.digest])
})

test('for another platform only what is new is read', async () => {
  const asked: string[] = []
  const documents = sourceDocuments(({ digest }: Descriptor) => {
    asked.push(digest)
    return once(blobs.get(digest))
  })
  await documents(index, AMD64)
  const found = await documents(index, ARM64)
  expect(found.manifest.descriptor.digest).toBe(arm.manifest.digest)
  expect(asked).toEqual([index.digest, amd.manifest.digest, amd.config.digest, arm.manifest.digest, arm.config.digest])
})

test('a damaged document is refused, or healed and read again', async () => {
  await damage(amd.manifest.digest)
  const error = await failure(heldDocuments(backend.content)(index, AMD64))
  expect(error).toMatchObject({ code: 'DIGEST_MISMATCH', detail: { digest: amd.manifest.digest } })
  const healed: string[] = []
  const heal = async ({ digest, size }: Descriptor) => {
    healed.push(digest)
    await backend.content.replace({ digest, size }, once(blobs.get(digest)))
  }
  const found = await heldDocuments(backend.content, heal)(index, AMD64)
  expect(Buffer.from(found.manifest.bytes).equals(amd.manifestBytes)).toBe(true)
  expect(healed).toEqual([amd.manifest.digest])
})

test('a missing document is BLOB_NOT_FOUND, or healed', async () => {
  await backend.content.remove(amd.config.digest)
  const error = await failure(heldDocuments(backend.content)(index, AMD64))
  expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND' })
  const heal = ({ digest, size }: Descriptor) => backend.content.write({ digest, size }, once(blobs.get(digest)))
  expect((await heldDocuments(backend.content, heal)(index, AMD64)).config.descriptor.digest).toBe(amd.config.digest)
})

test('what a source gives beyond the stated size is DOCUMENT_TOO_LARGE', async () => {
  const documents = sourceDocuments(() => once(Buffer.alloc(index.size + 1, 0x20)))
  expect(await failure(documents(index, AMD64))).toMatchObject({ code: 'DOCUMENT_TOO_LARGE' })
})
