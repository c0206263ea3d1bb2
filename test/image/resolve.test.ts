import { describe, expect, test } from 'vitest'
import type { Descriptor } from '../../functions/image/descriptor.ts'
import { digestBytes } from '../../functions/image/digest.ts'
import { MEDIA_TYPE } from '../../functions/image/media-type.ts'
import { parsePlatform } from '../../functions/image/platform.ts'
import { resolveImage } from '../../functions/image/resolve.ts'
import { json } from './bytes.ts'
import { sampleImage } from './samples.ts'
import { rejected } from './thrown.ts'

const AMD64 = parsePlatform('linux/amd64')

/** A small store of documents. */
function store() {
  const blobs = new Map<string, Uint8Array>()
  const reads: string[] = []
  return {
    reads,
    blobs,
    put(mediaType: string, bytes: Uint8Array): Descriptor {
      blobs.set(digestBytes(bytes), bytes)
      return { mediaType, digest: digestBytes(bytes), size: bytes.length }
    },
    image(architecture: string, more: object = {}) {
      const image = sampleImage({ config: { architecture }, ...more })
      this.put(MEDIA_TYPE.ociConfig, image.config)
      return { ...image, descriptor: this.put(MEDIA_TYPE.ociManifest, image.manifest) }
    },
    index(...manifests: object[]) {
      return this.put(MEDIA_TYPE.ociIndex, json({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests }))
    },
    read: async (descriptor: Descriptor) => {
      reads.push(descriptor.digest)
      const bytes = blobs.get(descriptor.digest)
      if (bytes === undefined) throw new Error(`not there: ${descriptor.digest}`)
      return bytes
    },
  }
}

const on = (descriptor: Descriptor, architecture: string) => ({
  ...descriptor,
  platform: { os: 'linux', architecture },
})

test('a single manifest is taken whatever its platform', async () => {
  const s = store()
  const { descriptor, manifest, config } = s.image('s390x')
  expect(await resolveImage(descriptor, s.read, AMD64)).toEqual({ manifest, config, mediaType: MEDIA_TYPE.ociManifest })
})

test('the best of an index, with nothing else read', async () => {
  const s = store()
  const [x86, amd64, arm64] = ['386', 'amd64', 'arm64'].map((name) => s.image(name))
  const index = s.index(on(x86!.descriptor, '386'), on(arm64!.descriptor, 'arm64'), on(amd64!.descriptor, 'amd64'))
  expect(await resolveImage(index, s.read, AMD64)).toMatchObject({ manifest: amd64!.manifest })
  expect(s.reads).toHaveLength(3)
})

test('an entry without a platform counts when its config says so, after the others', async () => {
  const s = store()
  const [arm64, amd64] = ['arm64', 'amd64'].map((name) => s.image(name))
  const index = s.index(arm64!.descriptor, amd64!.descriptor)
  expect(await resolveImage(index, s.read, AMD64)).toMatchObject({ manifest: amd64!.manifest })
  const both = s.index(amd64!.descriptor, on(s.image('386').descriptor, '386'))
  expect(await resolveImage(both, s.read, AMD64)).not.toMatchObject({ manifest: amd64!.manifest })
})

test('an index within an index', async () => {
  const s = store()
  const image = s.image('amd64')
  const inner = s.index(on(image.descriptor, 'amd64'))
  expect(await resolveImage(s.index(inner), s.read, AMD64)).toMatchObject({ manifest: image.manifest })
})

describe('refuses', () => {
  test('no match, naming what is there but not attestations', async () => {
    const s = store()
    const arm = s.image('arm64')
    const unknown = { ...s.image('amd64').descriptor, platform: { os: 'unknown', architecture: 'unknown' } }
    const index = s.index(on(arm.descriptor, 'arm64'), unknown, s.image('riscv64').descriptor)
    const error = await rejected(resolveImage(index, s.read, AMD64))
    expect(error.code).toBe('PLATFORM_NOT_FOUND')
    expect(error.exit).toBe(3)
    expect(error.detail).toEqual({ wanted: 'linux/amd64', available: ['linux/arm64', 'linux/riscv64'] })
    expect(error.message).toContain('linux/arm64, linux/riscv64')
  })

  test('an empty index', async () => {
    const s = store()
    expect((await rejected(resolveImage(s.index(), s.read, AMD64))).code).toBe('PLATFORM_NOT_FOUND')
  })

  test('other bytes than those asked for', async () => {
    const s = store()
    const { descriptor, manifest, config } = s.image('amd64')
    s.blobs.set(digestBytes(config), manifest)
    const error = await rejected(resolveImage(descriptor, s.read, AMD64))
    expect(error.code).toBe('DIGEST_MISMATCH')
    expect(error.message).toContain('config')
  })

  test('a document that claims to be huge, unread', async () => {
    const s = store()
    const target = { ...s.image('amd64').descriptor, size: 2 ** 40 }
    expect((await rejected(resolveImage(target, s.read, AMD64))).code).toBe('DOCUMENT_TOO_LARGE')
    expect(s.reads).toEqual([])
  })

  test('indexes without end', async () => {
    const s = store()
    let target = s.index(on(s.image('amd64').descriptor, 'amd64'))
    for (let depth = 0; depth < 5; depth++) target = s.index(target)
    expect((await rejected(resolveImage(target, s.read, AMD64))).code).toBe('DOCUMENT_TOO_LARGE')
  })

  test('an index that makes one read a thousand documents', async () => {
    const s = store()
    const many = Array.from({ length: 1000 }, (_, at) => s.image('arm64', { manifest: { at } }).descriptor)
    expect((await rejected(resolveImage(s.index(...many), s.read, AMD64))).code).toBe('DOCUMENT_TOO_LARGE')
    expect(s.reads.length).toBeLessThan(100)
  })

  test('a schema 1 target', async () => {
    const s = store()
    const target = s.put(
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      json({ schemaVersion: 1, name: 'x' }),
    )
    expect((await rejected(resolveImage(target, s.read, AMD64))).code).toBe('MANIFEST_SCHEMA1')
  })
})
