/** Images whose documents are not as they should be, and which containerd takes all the same. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { plan } from '../../../functions/plan/plan.ts'
import { findImage } from '../../../functions/runner/images/find.ts'
import { imageInput } from '../../../functions/runner/images/named-image.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { file } from '../../support/images/entries.ts'
import { buildImage, buildIndex, MEDIA_TYPES, withDocuments, type BuiltImage } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { failure } from '../unpack/support/failure.ts'
import { smallImage } from '../unpack/support/images.ts'
import { snapshotNames, store } from '../unpack/support/stores.ts'
import { importSource, inspectSource } from './support.ts'

const NAME = 'example.com/odd:1'
const amd64 = { platform: 'linux/amd64' }

let directory: string
let backend: Backend
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-odd-'))
  backend = await openEmbedded({ root: join(directory, 'root') })
})
afterEach(async () => {
  await backend.close()
  await rm(directory, { recursive: true })
})

const planOf = async (image: BuiltImage, target = image.manifest) => {
  await store(backend, image, NAME)
  await backend.images.put(NAME, target)
  return plan({ ...imageInput(await findImage(backend, NAME, amd64)), snapshotter: 'overlayfs' })
}
const codes = ({ plan: { warnings } }: ReturnType<typeof plan>) => warnings.map(({ code }) => code)

describe('an image that the node holds is planned, with a warning,', () => {
  test.each([1, 1_000_000, 2 ** 40])('where its manifest says that the config has %d bytes', async (size) => {
    const planned = await planOf(withDocuments(smallImage(), { configDescriptor: { size } }))
    expect(planned.plan.layers).toHaveLength(3)
    expect(codes(planned)).toEqual(['CONFIG_SIZE_WRONG'])
  })

  test("where docker's manifest lies under OCI's type, in an index too", async () => {
    const image = smallImage()
    const docker = withDocuments(image, { manifest: { mediaType: MEDIA_TYPES.docker.manifest } })
    expect(codes(await planOf(docker))).toEqual(['MANIFEST_TYPE_DIFFERS'])
    const index = buildIndex([{ image: docker, platform: { os: 'linux', architecture: 'amd64' } }])
    const bytes = index.indexBytes
    await backend.content.write(
      index.index,
      (async function* () {
        yield bytes
      })(),
    )
    const under = { ...index.index, mediaType: MEDIA_TYPES.docker.index }
    expect(codes(await planOf(docker, under))).toEqual(['MANIFEST_TYPE_DIFFERS'])
  })

  test.skipIf(process.getuid?.() !== 0)(
    'where the config has no type of its own: its layers are unpacked',
    async () => {
      const untyped = withDocuments(smallImage(), { configDescriptor: { mediaType: 'application/octet-stream' } })
      const planned = await planOf(untyped)
      expect(codes(planned)).toEqual(['CONFIG_UNTYPED'])
      const result = await unpack({ backend, planned })
      expect(result).toMatchObject({ ready: false, chainID: untyped.chainIDs.at(-1) })
      expect(await snapshotNames(backend, 'overlayfs')).toEqual(untyped.chainIDs.toSorted())
    },
  )
})

test('a source whose manifest states a wrong size of the config is refused: no registry would give it', async () => {
  await writeOciLayout(withDocuments(smallImage(), { configDescriptor: { size: 1 } }), join(directory, 'layout'))
  expect(await failure(inspectSource(`oci:${join(directory, 'layout')}`, amd64))).toMatchObject({
    code: 'DIGEST_MISMATCH',
  })
})

test('no media types, and null wherever a field may be, are as good as nothing', async () => {
  const nothing = {
    history: null,
    config: null,
    created: null,
    container_config: null,
    'os.features': null,
    variant: null,
  }
  const image = withDocuments(smallImage(), {
    config: nothing,
    manifest: { mediaType: undefined, annotations: null, subject: null, artifactType: null },
  })
  const layout = join(directory, 'layout')
  await writeOciLayout(image, layout)
  const entry = { ...image.manifest, platform: null, annotations: null }
  await writeFile(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, annotations: null, manifests: [entry] }),
  )
  const found = await importSource(backend, `oci:${layout}`, amd64)
  const planned = plan({ ...imageInput(found), snapshotter: 'overlayfs' })
  expect(planned.plan.layers.map(({ chainID }) => chainID)).toEqual(image.chainIDs)
  expect(codes(planned)).toEqual([])
})

describe('an index with an entry for an OS feature', () => {
  const erofs = { os: 'linux', architecture: 'amd64', 'os.features': ['erofs'] }
  const [plain, native] = [
    buildImage({ layers: [[file('plain')]] }),
    withDocuments(buildImage({ layers: [[file('native')]] }), { config: { 'os.features': ['erofs'] } }),
  ]
  const index = buildIndex([
    { image: plain, platform: { os: 'linux', architecture: 'amd64' } },
    { image: native, platform: erofs },
  ])

  beforeEach(async () => {
    for (const [digest, data] of index.blobs) {
      await backend.content.write(
        { digest, size: data.length },
        (async function* () {
          yield data
        })(),
      )
    }
    await backend.images.put(NAME, index.index)
  })
  const chosen = async (options: Parameters<typeof findImage>[2]) =>
    (await findImage(backend, NAME, options)).descriptor.digest

  test('gives that entry to who asks for the feature, and to nobody else', async () => {
    expect(await chosen({ platform: 'linux/amd64' })).toBe(plain.manifest.digest)
    expect(await chosen({ platform: 'linux(+erofs)/amd64' })).toBe(native.manifest.digest)
    expect(await chosen({ platform: 'linux(+other)/amd64' })).toBe(plain.manifest.digest)
    expect(await chosen({ platform: 'linux/amd64', features: ['erofs'] })).toBe(plain.manifest.digest)
  })

  test.skipIf(process.arch !== 'x64')(
    'prefers it for a snapshotter that does, unless the node has the other one only',
    async () => {
      expect(await chosen({})).toBe(plain.manifest.digest)
      expect(await chosen({ features: ['erofs'] })).toBe(native.manifest.digest)
      await backend.content.remove(native.manifest.digest)
      expect(await chosen({ features: ['erofs'] })).toBe(plain.manifest.digest)
    },
  )

  test('is told with it where nothing fits', async () => {
    const error = await failure(chosen({ platform: 'linux/s390x' }))
    expect(error.message).toContain('linux/amd64, linux(+erofs)/amd64')
  })
})
