import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Descriptor } from '../../functions/image/descriptor.ts'
import { byteLength } from '../../functions/image/fields.ts'
import { LABEL, MAX_LABEL_BYTES } from '../../functions/image/label-names.ts'
import { MEDIA_TYPE } from '../../functions/image/media-type.ts'
import { criLabels, isSnapshotLabel, layerLabels } from '../../functions/plan/labels.ts'
import { utf8 } from '../image/bytes.ts'
import { sampleDigest, sampleLayer } from '../image/samples.ts'
import { thrown } from '../image/thrown.ts'

const S = 'containerd.io/snapshot/'
const reference = 'docker.io/library/app:latest'
const manifest = { mediaType: MEDIA_TYPE.ociManifest, digest: sampleDigest('manifest') }
const chain = { diffID: sampleDigest('diff'), chainID: sampleDigest('chain'), parent: sampleDigest('parent') }
const image = (...children: Descriptor[]) => ({ reference, manifest, children })
const layer = (name: string, more: object = {}) => sampleLayer(name, more) as Descriptor

test('a layer carries its place, the four labels of CRI, and its own snapshot annotations only', () => {
  const annotated = layer('a', {
    annotations: {
      [`${S}stargz/toc.digest`]: 'toc',
      'containerd.io/snapshot.reff': 'x',
      'containerd.io/snapshots/x': 'x',
      'containerd.io/uncompressed': 'x',
      'org.opencontainers.image.title': 'x',
    },
  })
  expect(layerLabels(annotated, chain, image(annotated, layer('b')))).toEqual({
    [`${S}stargz/toc.digest`]: 'toc',
    [`${S}cri.image-ref`]: reference,
    [`${S}cri.manifest-digest`]: manifest.digest,
    [`${S}cri.layer-digest`]: sampleDigest('a'),
    [`${S}cri.image-layers`]: `${sampleDigest('a')},${sampleDigest('b')}`,
    'containerd.io/snapshot.ref': chain.chainID,
    [`${S}diff-id`]: chain.diffID,
    [`${S}parent-chain-id`]: chain.parent,
  })
})

test('what an image brings under the names of the unpacker is replaced', () => {
  const names = Object.values(LABEL)
  const evil = layer('a', { annotations: Object.fromEntries(names.map((name) => [name, 'evil'])) })
  expect(Object.values(layerLabels(evil, chain, image(evil)))).not.toContain('evil')
  const without = layerLabels(evil, { ...chain, parent: '' }, undefined)
  expect(without).toMatchObject({ [LABEL.snapshotRef]: chain.chainID, [LABEL.diffID]: chain.diffID })
  // As with containerd, which sets no parent-chain-id on the first layer, nor CRI's labels when they are off.
  expect(without).toMatchObject({ [LABEL.parentChainID]: 'evil', [LABEL.imageRef]: 'evil' })
})

test('labels off: the place in the chain and the annotations are all there is', () => {
  expect(layerLabels(layer('a'), { ...chain, parent: '' }, undefined)).toEqual({
    'containerd.io/snapshot.ref': chain.chainID,
    [`${S}diff-id`]: chain.diffID,
  })
})

test('an empty annotation makes no label, because none would be stored', () => {
  const labels = layerLabels(layer('a', { annotations: { [`${S}x`]: '', [`${S}y`]: ' ' } }), chain, undefined)
  expect(labels).toHaveProperty([`${S}y`], ' ')
  expect(labels).not.toHaveProperty([`${S}x`])
})

test.each([
  [`${S}x`, true],
  [S, true],
  ['containerd.io/snapshot.ref', true],
  ['containerd.io/snapshot.ref/x', false],
  ['containerd.io/snapshot', false],
  ['Containerd.io/snapshot/x', false],
  ['containerd.io/gc.root', false],
  ['__proto__', false],
])('%s is handed on: %s', (key, is) => expect(isSnapshotLabel(key)).toBe(is))

describe('cri.image-layers', () => {
  const many = (algorithm: 'sha256' | 'sha384' | 'sha512', count = 200) =>
    Array.from({ length: count }, (_, at) => ({
      mediaType: sampleLayer('').mediaType,
      digest: sampleDigest(String(at), algorithm),
    }))
  const listed = (children: { mediaType: string; digest: string }[]) =>
    criLabels(image(...(children as Descriptor[])))[LABEL.imageLayers]?.split(',') ?? []

  test.each([
    ['sha256', 56],
    ['sha384', 39],
    ['sha512', 29],
  ] as const)('%s: stops at %i digests', (algorithm, count) => {
    const children = many(algorithm)
    expect(listed(children)).toEqual(children.slice(0, count).map(({ digest }) => digest))
    expect(listed(children.slice(0, count))).toHaveLength(count)
  })

  test('stops at the first that does not fit, even where a later one would', () => {
    const children = [...many('sha256', 55), ...many('sha512', 1), ...many('sha256', 9)]
    expect(listed(children)).toHaveLength(55)
  })

  test('passes over what is no layer and keeps what comes twice', () => {
    const [a, b] = [layer('a'), layer('b')]
    const other = { mediaType: 'application/vnd.in-toto+json', digest: sampleDigest('c') }
    expect(listed([a, other, b, a])).toEqual([a.digest, b.digest, a.digest])
  })

  test('never exceeds the limit, and one more would', () => {
    const child = fc
      .tuple(fc.nat(9), fc.constantFrom('sha256', 'sha384', 'sha512'))
      .map(([name, algorithm]) => ({ mediaType: LAYER_TYPE, digest: sampleDigest(String(name), algorithm) }))
    fc.assert(
      fc.property(fc.array(child, { minLength: 1, maxLength: 80 }), (children) => {
        const found = listed(children)
        const length = (digests: string[]) => LABEL.imageLayers.length + digests.join(',').length
        expect(found).toEqual(children.slice(0, found.length).map(({ digest }) => digest))
        expect(length(found)).toBeLessThanOrEqual(MAX_LABEL_BYTES)
        const next = children[found.length]
        expect(next === undefined || length([...found, next.digest]) > MAX_LABEL_BYTES).toBe(true)
      }),
    )
  })
})

const LAYER_TYPE = sampleLayer('').mediaType

describe('no CRI labels', () => {
  test('under anything but a manifest', () => {
    const index = { reference, manifest: { ...manifest, mediaType: MEDIA_TYPE.ociIndex }, children: [layer('a')] }
    expect(criLabels(index)).toEqual({})
  })

  test('for anything but a layer', () => {
    expect(criLabels(image(layer('a', { mediaType: 'text/plain' }), layer('b')))).toEqual({})
    expect(criLabels(image())).toEqual({})
  })
})

test('a label of 4096 bytes passes, one more does not, counted in bytes', () => {
  const key = `${S}x`
  const room = MAX_LABEL_BYTES - key.length
  const labels = (value: string) => layerLabels(layer('a', { annotations: { [key]: value } }), chain, undefined)
  expect(labels('v'.repeat(room))).toHaveProperty([key])
  expect(labels('€'.repeat(room / 3))).toHaveProperty([key])
  const error = thrown(() => labels('v'.repeat(room + 1)))
  expect(error.code).toBe('LABEL_TOO_LARGE')
  expect(error.detail).toMatchObject({ label: key, layer: sampleDigest('a'), size: 4097, limit: 4096 })
  expect(thrown(() => labels('€'.repeat(Math.floor(room / 3) + 1))).code).toBe('LABEL_TOO_LARGE')
})

test('byteLength counts as UTF-8 does', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void expect(byteLength(text)).toBe(utf8(text).length)))
})
