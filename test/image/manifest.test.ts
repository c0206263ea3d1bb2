import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LayercastError } from '../../functions/errors.ts'
import { digestBytes } from '../../functions/image/digest.ts'
import { parseManifest } from '../../functions/image/manifest.ts'
import { MEDIA_TYPE } from '../../functions/image/media-type.ts'
import { json, utf8 } from './bytes.ts'
import { sampleDigest, sampleImage, sampleLayer } from './samples.ts'
import { thrown, tolerated } from './thrown.ts'

const config = { mediaType: MEDIA_TYPE.ociConfig, digest: sampleDigest('config'), size: 2 }
const plain = (more: object = {}) => json({ schemaVersion: 2, config, layers: [], ...more })
const annotated = (value: string) => plain({ layers: [sampleLayer('a', { annotations: { k: value } })] })
const type = (bytes: Uint8Array, given?: string) => parseManifest(bytes, given).descriptor.mediaType

test('reads what it needs and passes over the rest', () => {
  const bytes = json({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.dockerManifest,
    artifactType: 'x',
    config: { ...config, urls: ['x'], data: 'e30=' },
    layers: [sampleLayer('a', { annotations: { b: 'c' } }), sampleLayer('b', { annotations: null })],
    subject: config,
    annotations: { k: 'v' },
    somethingElse: [1],
  })
  expect(parseManifest(bytes)).toEqual({
    descriptor: { mediaType: MEDIA_TYPE.dockerManifest, digest: digestBytes(bytes), size: bytes.length },
    config,
    layers: [sampleLayer('a', { annotations: { b: 'c' } }), sampleLayer('b')],
  })
})

test('the digest is of the bytes as they came, white space and all', () => {
  const { manifest } = sampleImage()
  const spaced = utf8(`${new TextDecoder().decode(manifest)}\n`)
  expect(parseManifest(manifest).descriptor.digest).toBe(digestBytes(manifest))
  expect(parseManifest(spaced).descriptor.digest).toBe(digestBytes(spaced))
})

test('a null layers field is none, as Go writes it', () => {
  expect(parseManifest(json({ schemaVersion: 2, config, layers: null })).layers).toEqual([])
})

describe('the media type', () => {
  test('is the given one, or the own one, or that of OCI', () => {
    expect(type(plain())).toBe(MEDIA_TYPE.ociManifest)
    expect(type(plain({ mediaType: MEDIA_TYPE.dockerManifest }))).toBe(MEDIA_TYPE.dockerManifest)
    expect(type(plain(), MEDIA_TYPE.dockerManifest)).toBe(MEDIA_TYPE.dockerManifest)
  })

  test.each([
    ['given is an index', {}, MEDIA_TYPE.ociIndex, 'MANIFEST_IS_INDEX'],
    ['own is an index', { mediaType: MEDIA_TYPE.dockerIndex }, undefined, 'MANIFEST_IS_INDEX'],
    ['it has manifests', { manifests: [] }, undefined, 'MANIFEST_IS_INDEX'],
    ['it has manifests, and says manifest', { manifests: null }, MEDIA_TYPE.ociManifest, 'MANIFEST_IS_INDEX'],
    ['given is schema 1', {}, 'application/vnd.docker.distribution.manifest.v1+json', 'MANIFEST_SCHEMA1'],
    ['given is signed schema 1', {}, 'application/vnd.docker.distribution.manifest.v1+prettyjws', 'MANIFEST_SCHEMA1'],
    ['it has fsLayers', { fsLayers: [] }, undefined, 'MANIFEST_SCHEMA1'],
    ['it has fsLayers, and says OCI', { fsLayers: [] }, MEDIA_TYPE.ociManifest, 'MANIFEST_SCHEMA1'],
    ['schemaVersion is 1', { schemaVersion: 1, signatures: [] }, undefined, 'MANIFEST_SCHEMA1'],
    ['schemaVersion is 3', { schemaVersion: 3 }, undefined, 'DOCUMENT_FIELD_INVALID'],
    ['schemaVersion is text', { schemaVersion: '2' }, undefined, 'DOCUMENT_FIELD_INVALID'],
    ['given is unknown', {}, 'application/json', 'MEDIA_TYPE_UNSUPPORTED'],
    ['own is unknown', { mediaType: 'text/plain' }, undefined, 'MEDIA_TYPE_UNSUPPORTED'],
    ['own is no text', { mediaType: 7 }, undefined, 'DOCUMENT_FIELD_INVALID'],
  ])('refused: %s', (_, more, given, code) => {
    expect(thrown(() => parseManifest(plain(more), given)).code).toBe(code)
  })

  test("may differ between docker's and OCI's: what it came under counts, and the other is told", () => {
    const parsed = parseManifest(plain({ mediaType: MEDIA_TYPE.dockerManifest }), MEDIA_TYPE.ociManifest)
    expect(parsed).toMatchObject({
      descriptor: { mediaType: MEDIA_TYPE.ociManifest },
      ownMediaType: MEDIA_TYPE.dockerManifest,
    })
  })

  // encoding/json: "cannot unmarshal number 1038.0 into Go struct field Descriptor.size of type int64".
  test.each(['2.0', '2e0', '0.2e1'])('a size or a schema version written %s is refused, as by Go', (number) => {
    const text = new TextDecoder().decode(plain())
    const sized = utf8(text.replace(/"size":2\b/, `"size":${number}`))
    const error = thrown(() => parseManifest(sized))
    expect([error.code, error.detail['path']]).toEqual(['DOCUMENT_FIELD_INVALID', 'config.size'])
    expect(error.message).toContain(number)
    const versioned = utf8(text.replace(/"schemaVersion":2\b/, `"schemaVersion":${number}`))
    expect(thrown(() => parseManifest(versioned)).detail['path']).toBe('schemaVersion')
  })

  test('a signed schema 1 manifest as docker wrote it', () => {
    const error = thrown(() =>
      parseManifest(
        json({ schemaVersion: 1, name: 'x', tag: 'y', architecture: 'amd64', fsLayers: [], signatures: [{}] }),
      ),
    )
    expect(error.code).toBe('MANIFEST_SCHEMA1')
    expect(error.status).toBe(415)
  })
})

describe('every wrong type is named by its path', () => {
  const layers = (layer: unknown) => ({ schemaVersion: 2, config, layers: [sampleLayer('a'), layer] })
  test.each<[unknown, string, string]>([
    [[], 'the document', 'an object'],
    [null, 'the document', 'an object'],
    ['x', 'the document', 'an object'],
    [{ schemaVersion: 2, layers: [] }, 'config', 'missing'],
    [{ schemaVersion: 2, config: [], layers: [] }, 'config', 'an object'],
    [{ schemaVersion: 2, config: { ...config, digest: 7 }, layers: [] }, 'config.digest', '7'],
    [{ schemaVersion: 2, config, layers: {} }, 'layers', 'an array'],
    [layers(7), 'layers[1]', 'an object'],
    [layers({}), 'layers[1].mediaType', 'missing'],
    [layers({ ...sampleLayer('b'), mediaType: 7 }), 'layers[1].mediaType', 'a string'],
    [layers({ ...sampleLayer('b'), digest: undefined }), 'layers[1].digest', 'missing'],
    [layers({ ...sampleLayer('b'), size: undefined }), 'layers[1].size', 'missing'],
    [layers({ ...sampleLayer('b'), size: '12' }), 'layers[1].size', '"12"'],
    [layers({ ...sampleLayer('b'), size: -1 }), 'layers[1].size', '-1'],
    [layers({ ...sampleLayer('b'), size: 1.5 }), 'layers[1].size', '1.5'],
    [layers({ ...sampleLayer('b'), size: 2 ** 53 }), 'layers[1].size', '9007199254740992'],
    [layers({ ...sampleLayer('b'), annotations: [] }), 'layers[1].annotations', 'an object'],
    [layers({ ...sampleLayer('b'), annotations: { 'a.b': 7 } }), 'layers[1].annotations["a.b"]', 'a string'],
    [{ ...layers(sampleLayer('b')), Layers: [] }, 'Layers', 'spelt "layers"'],
    [layers({ ...sampleLayer('b'), Digest: sampleDigest('other') }), 'layers[1].Digest', 'spelt "digest"'],
    [layers({ ...sampleLayer('b'), ſize: 5 }), 'layers[1]["ſize"]', 'spelt "size"'],
  ])('%j', (value, path, why) => {
    const error = thrown(() => parseManifest(json(value)))
    expect(error.code).toBe('DOCUMENT_FIELD_INVALID')
    expect(error.detail['path']).toBe(path)
    expect(error.message).toContain(path)
    expect(error.message).toContain(why)
  })

  test('and so is a digest that is none', () => {
    const error = thrown(() => parseManifest(json(layers({ ...sampleLayer('b'), digest: 'sha256:abc' }))))
    expect(error.code).toBe('DIGEST_INVALID')
    expect(error.message).toContain('layers[1].digest')
  })

  test('a config given for a manifest', () => {
    const error = thrown(() => parseManifest(sampleImage().config))
    expect(error.fix).toContain('image config')
  })
})

describe('limits', () => {
  test('too many layers', () => {
    expect(parseManifest(plain({ layers: Array.from({ length: 1024 }, () => sampleLayer('a')) })).layers).toHaveLength(
      1024,
    )
    expect(
      thrown(() => parseManifest(plain({ layers: Array.from({ length: 1025 }, () => sampleLayer('a')) }))).code,
    ).toBe('DOCUMENT_TOO_LARGE')
  })

  test('annotations of more than 64 KiB, counted in bytes', () => {
    expect(parseManifest(annotated('ä'.repeat(32_767))).layers).toHaveLength(1)
    const error = thrown(() => parseManifest(annotated('ä'.repeat(32_768))))
    expect(error.code).toBe('DOCUMENT_TOO_LARGE')
    expect(error.message).toContain('layers[0].annotations')
  })
})

test('a manifest with random damage is read or refused, never worse', () => {
  const { manifest } = sampleImage()
  fc.assert(
    fc.property(fc.nat(manifest.length - 1), fc.uint8Array({ maxLength: 3 }), fc.nat(4), (at, put, gone) => {
      const damaged = Uint8Array.from([...manifest.subarray(0, at), ...put, ...manifest.subarray(at + gone)])
      const result = tolerated(() => parseManifest(damaged))
      expect(result instanceof LayercastError || result.descriptor.digest === digestBytes(damaged)).toBe(true)
    }),
    { numRuns: 500 },
  )
})
