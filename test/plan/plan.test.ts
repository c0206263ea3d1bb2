import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LayercastError } from '../../functions/errors.ts'
import { LABEL, SNAPSHOT_PREFIX } from '../../functions/image/label-names.ts'
import { parsePlan, plan, PROFILES } from '../../functions/library.ts'
import type { PlanInput } from '../../functions/library.ts'
import { json, utf8 } from '../image/bytes.ts'
import { LAYER, sampleDigest, sampleImage, sampleLayer } from '../image/samples.ts'
import type { SampleOptions } from '../image/samples.ts'
import { thrown, tolerated } from '../image/thrown.ts'
import { CONFIG, MANIFEST, PLAN_DIGEST, REFERENCE } from './golden.ts'

const S = 'containerd.io/snapshot/'

/** Plans a sample image, for overlayfs unless told otherwise. */
function planned(sample: SampleOptions = {}, more: Partial<PlanInput> = {}) {
  return plan({ reference: 'app', snapshotter: 'overlayfs', ...sampleImage(sample), ...more })
}

const codes = (sample: SampleOptions, more: Partial<PlanInput> = {}) =>
  planned(sample, more).plan.warnings.map(({ code }) => code)

describe('the golden image', () => {
  const input = { reference: REFERENCE, manifest: utf8(MANIFEST), config: utf8(CONFIG), snapshotter: 'nydus' }

  test('gives the plan that was made by other means, byte for byte', () => {
    const { bytes, digest } = plan(input)
    const due = readFileSync(new URL('fixtures/plan.json', import.meta.url))
    expect(new TextDecoder().decode(bytes)).toBe(due.toString())
    expect(digest).toBe(PLAN_DIGEST)
    expect(digest).toBe(`sha256:${createHash('sha256').update(due).digest('hex')}`)
  })

  test('gives the same plan however its name, labels and platform are spelt', () => {
    const same: Partial<PlanInput>[] = [
      { reference: 'docker.io/library/demo:latest' },
      { labels: 'cri' },
      { platform: 'linux/arm64/v8' },
      { platform: { os: 'Linux', architecture: 'aarch64' } },
      { profile: 'nydus' },
      { mediaType: 'application/vnd.docker.distribution.manifest.v2+json' },
      { manifest: Buffer.from(MANIFEST) },
    ]
    expect(same.map((more) => plan({ ...input, ...more }).digest)).toEqual(same.map(() => PLAN_DIGEST))
  })
})

test('the same input gives the same bytes, and they read back as the same plan', () => {
  const text = fc.string({ unit: 'binary', maxLength: 120 })
  const key = fc.oneof(
    text.map((name) => `${S}${name}`),
    fc.constantFrom(`${S}stargz/toc.digest`, LABEL.imageRef, LABEL.parentChainID, 'other', '__proto__'),
  )
  const annotations = fc.dictionary(key, fc.oneof(text, fc.constant('')), { maxKeys: 6 })
  const layers = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), annotations), { minLength: 1, maxLength: 8 })
  const input = fc.record({
    snapshotter: fc.constantFrom(...PROFILES.map((profile) => profile.snapshotters[0] ?? 'another')),
    labels: fc.constantFrom('cri', 'off'),
  })
  const config = fc.record({
    os: text,
    architecture: text,
    variant: text,
    'os.version': text,
    'os.features': fc.array(text),
  })
  fc.assert(
    fc.property(layers, config, input, (children, platform, more) => {
      const sample = {
        layers: children.map(([name, own]) => sampleLayer(name, { annotations: own })),
        config: platform,
      }
      const once = tolerated(() => planned(sample, more))
      const again = tolerated(() => planned(sample, more))
      expect(again).toEqual(once)
      const read = once instanceof LayercastError ? once : parsePlan(once.bytes)
      expect(read).toEqual(once)
    }),
    { numRuns: 300 },
  )
})

describe('layers', () => {
  test('are the recognised ones, in order, with the diff IDs in order', () => {
    const layers = [sampleLayer('a'), sampleLayer('sig', { mediaType: 'text/plain' }), sampleLayer('b')]
    const diffIDs = [sampleDigest('d1'), sampleDigest('d2')]
    const { plan: document } = planned({ layers, diffIDs })
    expect(document.layers.map(({ descriptor }) => descriptor.digest)).toEqual([sampleDigest('a'), sampleDigest('b')])
    expect(document.layers.map(({ diffID }) => diffID)).toEqual(diffIDs)
    expect(document.warnings).toEqual([{ code: 'LAYERS_SKIPPED', detail: expect.stringContaining('"text/plain"') }])
  })

  test('that come twice are planned twice', () => {
    const layers = [sampleLayer('a'), sampleLayer('a')]
    const { plan: document } = planned({ layers, diffIDs: [sampleDigest('d'), sampleDigest('d')] })
    expect(document.layers).toHaveLength(2)
    expect(document.layers[0]?.chainID).toBe(sampleDigest('d'))
    expect(document.layers[1]?.chainID).not.toBe(sampleDigest('d'))
    expect(document.layers[1]?.parent).toBe(sampleDigest('d'))
    expect(document.chainID).toBe(document.layers[1]?.chainID)
  })

  test('keep their annotations in the descriptor, whatever goes into labels', () => {
    const annotations = { 'org.example': 'x', [`${S}y`]: 'z' }
    const { plan: document } = planned({ layers: [sampleLayer('a', { annotations })] })
    expect(document.layers[0]?.descriptor.annotations).toEqual(annotations)
    expect(document.layers[0]?.labels).toHaveProperty([`${S}y`], 'z')
    expect(document.layers[0]?.labels).not.toHaveProperty(['org.example'])
  })

  test('one of 1024, with every label in bounds', () => {
    const layers = Array.from({ length: 1024 }, (_, at) => sampleLayer(String(at)))
    const { plan: document, bytes } = planned({ layers })
    expect(document.layers).toHaveLength(1024)
    expect(parsePlan(bytes).plan.layers).toHaveLength(1024)
  })

  test("do not match the diff IDs: containerd's own words", () => {
    const error = thrown(() => planned({ layers: [sampleLayer('a')], diffIDs: Array(5).fill(sampleDigest('d')) }))
    expect(error.code).toBe('LAYERS_DIFFIDS_MISMATCH')
    expect(error.message).toBe("number of layers and diffIDs don't match: 1 != 5")
    expect(error.exit).toBe(2)
  })

  test('do not match the diff IDs because one is of an unknown type', () => {
    const layers = [sampleLayer('a'), sampleLayer('b', { mediaType: 'application/x-tar' })]
    expect(thrown(() => planned({ layers })).message).toBe("number of layers and diffIDs don't match: 1 != 2")
  })
})

describe('nothing to unpack is a plan without layers and a warning', () => {
  const oneLayer = [sampleLayer('a')]
  test.each<[string, SampleOptions, string[]]>([
    ['no layers', { layers: [] }, ['NO_LAYERS']],
    ['no layers, and diff IDs', { layers: [], diffIDs: [sampleDigest('d')] }, ['NO_LAYERS']],
    [
      'no layer of a known type',
      { layers: [sampleLayer('a', { mediaType: 'text/plain' })] },
      ['LAYERS_SKIPPED', 'NO_LAYERS'],
    ],
    [
      'a root file system of another type',
      { layers: oneLayer, config: { rootfs: { type: 'x' } } },
      ['ROOTFS_NOT_LAYERS'],
    ],
    [
      'a config that is not an image',
      { layers: oneLayer, configDescriptor: { mediaType: 'text/plain' } },
      ['CONFIG_NOT_IMAGE'],
    ],
  ])('%s', (_, sample, warnings) => {
    const { plan: document, bytes } = planned(sample)
    expect(document.layers).toEqual([])
    expect(document.chainID).toBe('')
    expect(document.warnings.map(({ code }) => code)).toEqual(warnings)
    expect(parsePlan(bytes).plan).toEqual(document)
  })

  test('an empty rootfs type is one of layers', () => {
    const diff_ids = [sampleDigest('d')]
    expect(planned({ layers: oneLayer, config: { rootfs: { diff_ids } } }).plan.layers).toHaveLength(1)
  })

  test('a config that is no image need not be JSON, and its platform is unknown', () => {
    const config = utf8('not json')
    const digest = `sha256:${createHash('sha256').update(config).digest('hex')}`
    const manifest = json({ config: { mediaType: 'application/x', digest, size: config.length }, layers: [] })
    const { plan: document } = planned({}, { manifest, config, platform: 'linux/amd64' })
    expect(document.platform).toEqual({ os: 'unknown', architecture: 'unknown' })
  })
})

describe('the platform', () => {
  test.each([
    [{ architecture: 'x86_64' }, { os: 'linux', architecture: 'amd64' }],
    [
      { architecture: 'arm64', variant: 'v8' },
      { os: 'linux', architecture: 'arm64' },
    ],
    [
      { architecture: 'arm', variant: '6' },
      { os: 'linux', architecture: 'arm', variant: 'v6' },
    ],
    [{ architecture: 'arm' }, { os: 'linux', architecture: 'arm', variant: 'v7' }],
  ])('of the config %j, normalised', (config, platform) => {
    expect(planned({ config }).plan.platform).toEqual(platform)
  })

  test('missing is linux and unknown, with a warning', () => {
    const { plan: document } = planned({ config: { os: undefined, architecture: undefined } })
    expect(document.platform).toEqual({ os: 'linux', architecture: 'unknown' })
    expect(document.warnings).toEqual([
      { code: 'PLATFORM_INCOMPLETE', detail: expect.stringContaining('os and architecture') },
    ])
  })

  test('asked for is checked, with what runs there', () => {
    expect(planned({ config: { architecture: '386' } }, { platform: 'linux/amd64' }).plan.platform.architecture).toBe(
      '386',
    )
    const error = thrown(() => planned({}, { platform: 'arm64' }))
    expect(error.code).toBe('PLATFORM_MISMATCH')
    expect(error.message).toBe('the image is made for linux/amd64, not for linux/arm64')
    expect(thrown(() => planned({}, { platform: 'x/y/z/w' })).code).toBe('PLATFORM_INVALID')
  })
})

describe('profiles', () => {
  const rafs = {
    layers: [
      sampleLayer('data', { annotations: { [`${S}nydus-blob`]: 'true' } }),
      sampleLayer('meta', { annotations: { [`${S}nydus-bootstrap`]: 'true' } }),
    ],
  }

  test('a RAFS image under nydus is told by its bootstrap', () => {
    const { plan: document } = planned(rafs, { snapshotter: 'nydus' })
    expect(document.profile).toBe('nydus-rafs')
    expect(document.layers.map(({ blob }) => blob)).toEqual(['none', 'required'])
    expect(document.warnings).toEqual([])
  })

  test('an override counts', () => {
    const { plan: document } = planned(rafs, { snapshotter: 'nydus', profile: 'nydus' })
    expect(document.profile).toBe('nydus')
    expect(document.layers.map(({ blob }) => blob)).toEqual(['none', 'none'])
    expect(planned({}, { profile: 'generic' }).plan.profile).toBe('generic')
  })

  test('RAFS asked for, and the image is none: refused before a container fails', () => {
    const error = thrown(() => planned({}, { snapshotter: 'nydus', profile: 'nydus-rafs' }))
    expect(error.code).toBe('PLAN_LABEL_REQUIRED')
    expect(error.message).toContain('nydus-bootstrap')
    expect(error.fix).toContain('Convert the image')
  })

  test('a layer of a RAFS image that is neither data nor bootstrap is warned of', () => {
    const mixed = { layers: [...rafs.layers, sampleLayer('plain')] }
    const { plan: document } = planned(mixed, { snapshotter: 'nydus' })
    expect(document.warnings).toEqual([
      { code: 'ANNOTATION_MISSING', detail: expect.stringContaining('1 of 3 layers') },
    ])
    expect(document.layers[2]?.blob).toBe('fallback')
  })

  test('nydus cannot do without labels', () => {
    const error = thrown(() => planned({}, { snapshotter: 'nydus', labels: 'off' }))
    expect(error.code).toBe('PLAN_LABEL_REQUIRED')
    expect(error.message).toContain('cri.image-ref')
    expect(error.fix).toContain('labels "cri"')
  })

  test.each(['stargz', 'soci', 'overlaybd', 'cvmfs', 'generic-one'])('%s can, with a warning', (snapshotter) => {
    expect(codes({}, { snapshotter, labels: 'off' })).toContain('LABELS_OFF')
    expect(codes({}, { snapshotter, labels: 'cri' })).not.toContain('LABELS_OFF')
  })

  test.each(['stargz', 'soci', 'nydus-tarfs', 'overlaybd', 'cvmfs', 'my-own'])(
    '%s is not told by the image what it alone may say: that is left out, with a warning',
    (snapshotter) => {
      const own = { [`${SNAPSHOT_PREFIX}remote`]: 'remote snapshot', [`${SNAPSHOT_PREFIX}else`]: '1' }
      const { plan: document } = planned({ layers: [sampleLayer('a', { annotations: own })] }, { snapshotter })
      expect(document.layers[0]?.labels).not.toHaveProperty([`${SNAPSHOT_PREFIX}remote`])
      expect(document.layers[0]?.labels).toMatchObject({ [`${SNAPSHOT_PREFIX}else`]: '1' })
      expect(document.layers[0]?.descriptor.annotations).toEqual(own)
      expect(document.warnings.filter(({ code }) => code === 'ANNOTATION_RESERVED')).toEqual([
        { code: 'ANNOTATION_RESERVED', detail: expect.stringContaining(`"${SNAPSHOT_PREFIX}remote"`) },
      ])
    },
  )

  test('overlayfs can, without one', () => {
    const { plan: document } = planned({}, { labels: 'off' })
    expect(document.warnings).toEqual([])
    expect(Object.keys(document.layers[1]?.labels ?? {})).toEqual([
      LABEL.snapshotRef,
      LABEL.diffID,
      LABEL.parentChainID,
    ])
  })

  test.each([
    ['stargz', 'stargz/toc.digest'],
    ['overlaybd', 'overlaybd/blob-digest'],
  ])('%s warns of layers that are not in its format', (snapshotter, key) => {
    const annotation = (value: string) => ({
      [`${S}stargz/toc.digest`]: value,
      [`${S}overlaybd/blob-digest`]: value,
      [`${S}overlaybd/blob-size`]: value,
    })
    const layers = (value: string) => [sampleLayer('a', { annotations: annotation(value) })]
    expect(planned({ layers: layers('7') }, { snapshotter }).plan.warnings).toEqual([])
    const { warnings } = planned({}, { snapshotter }).plan
    expect(warnings[0]).toEqual({ code: 'ANNOTATION_MISSING', detail: expect.stringContaining(key) })
  })

  test('a snapshotter that nobody knows is served with every label', () => {
    const { plan: document } = planned({}, { snapshotter: 'my-own' })
    expect(document.profile).toBe('generic')
    expect(document.warnings).toEqual([{ code: 'SNAPSHOTTER_UNKNOWN', detail: expect.stringContaining('"my-own"') }])
    expect(document.layers[0]?.labels).toHaveProperty([LABEL.imageLayers])
  })
})

describe('odd layers are warned of', () => {
  test.each([
    ['encrypted', { mediaType: `${LAYER}+encrypted` }, 'LAYER_ENCRYPTED'],
    ['an empty snapshot annotation', { annotations: { [`${S}x`]: '' } }, 'LABEL_EMPTY'],
    ["annotations under the unpacker's names", { annotations: { [LABEL.imageRef]: 'evil' } }, 'ANNOTATION_RESERVED'],
  ])('%s', (_, more, code) => expect(codes({ layers: [sampleLayer('a', more)] })).toEqual([code]))

  test('in one warning a layer, however many annotations there are', () => {
    const annotations = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`${S}${at}`, '']))
    const { warnings } = planned({ layers: [sampleLayer('a', { annotations })] }).plan
    expect(warnings).toHaveLength(1)
    expect(warnings[0]?.detail).toContain('497 more')
  })
})

describe('warns of', () => {
  const mapped = { [`${S}uidmapping`]: '0:100000:65536', [`${S}gidmapping`]: '0:100000:65536', [`${S}kept`]: 'yes' }

  test('mappings of owners that an image asks for, and hands none on', () => {
    const { plan: document } = planned({ layers: [sampleLayer('a', { annotations: mapped }), sampleLayer('b')] })
    expect(Object.keys(document.layers[0]?.labels ?? {}).filter((key) => key.includes('mapping'))).toEqual([])
    expect(document.layers[0]?.labels).toHaveProperty([`${S}kept`], 'yes')
    expect(document.layers[0]?.descriptor.annotations).toEqual(mapped)
    expect(document.warnings.map(({ code }) => code)).toEqual(['MAPPING_DROPPED'])
  })

  test('a stated config size that is wrong, and carries it on as it is stated', () => {
    const { plan: document } = planned({ configDescriptor: { size: 1 } })
    expect(document.layers).toHaveLength(3)
    expect(document.config.size).toBe(1)
    expect(document.warnings.map(({ code }) => code)).toEqual(['CONFIG_SIZE_WRONG'])
  })

  test("docker's manifest under OCI's type, which counts", () => {
    const docker = 'application/vnd.docker.distribution.manifest.v2+json'
    const oci = 'application/vnd.oci.image.manifest.v1+json'
    const { plan: document } = planned({ manifest: { mediaType: docker } }, { mediaType: oci })
    expect(document.manifest.mediaType).toBe(oci)
    expect(document.warnings).toEqual([{ code: 'MANIFEST_TYPE_DIFFERS', detail: expect.stringContaining(docker) }])
  })

  test("a config without a type of its own that reads as an image's, whose layers are planned", () => {
    const configDescriptor = { mediaType: 'application/octet-stream' }
    const { plan: document, bytes } = planned({ configDescriptor })
    expect(document.layers).toHaveLength(3)
    expect(document.warnings.map(({ code }) => code)).toEqual(['CONFIG_UNTYPED'])
    expect(parsePlan(bytes).plan).toEqual(document)
    for (const config of [{ rootfs: null }, { rootfs: 7 }, { os: 7 }]) {
      expect(codes({ configDescriptor, config })).toEqual(['CONFIG_NOT_IMAGE'])
    }
  })

  test.each(['foo', 'Foo/BAR:x', `x:t@${sampleDigest('x')}`, sampleDigest('id'), 'Not A Reference'])(
    "a store's name that is not normal, %s, which the labels carry to the letter",
    (reference) => {
      const { plan: document, bytes } = planned({}, { reference, referenceForm: 'store' })
      expect(document.reference).toBe(reference)
      expect(document.layers.map(({ labels }) => labels[LABEL.imageRef])).toEqual([reference, reference, reference])
      expect(document.warnings.map(({ code }) => code)).toEqual(['REFERENCE_NOT_NORMAL'])
      expect(parsePlan(bytes).plan).toEqual(document)
    },
  )

  test("nothing where a store's name is normal, and gives the plan of that name", () => {
    const reference = 'docker.io/library/app:latest'
    expect(planned({}, { reference, referenceForm: 'store' })).toEqual(planned({}, { reference: 'app' }))
  })
})

describe('refuses', () => {
  test('a config that is not the one the manifest names', () => {
    const { config } = sampleImage({ config: { os: 'windows' } })
    const error = thrown(() => planned({}, { config }))
    expect(error.code).toBe('DIGEST_MISMATCH')
    expect(error.exit).toBe(5)
  })

  test('a config that was reformatted', () => {
    const { config } = sampleImage()
    expect(thrown(() => planned({}, { config: utf8(`${new TextDecoder().decode(config)}\n`) })).code).toBe(
      'DIGEST_MISMATCH',
    )
  })

  test.each<[string, object, string]>([
    ['an upper-case reference', { reference: 'App' }, 'REFERENCE_INVALID'],
    ["CRI's name for an image by its id", { reference: sampleDigest('x') }, 'REFERENCE_INVALID'],
    ['a reference that is no text', { reference: 7 }, 'REQUEST_INVALID'],
    ['a form of references that is none', { referenceForm: 'any' }, 'REQUEST_INVALID'],
    [
      "a store's name that could be no label",
      { reference: 'x'.repeat(4096), referenceForm: 'store' },
      'REFERENCE_INVALID',
    ],
    ['a manifest as text', { manifest: '{}' }, 'REQUEST_INVALID'],
    ['a config as an array of numbers', { config: [1] }, 'REQUEST_INVALID'],
    ['no snapshotter', { snapshotter: undefined }, 'REQUEST_INVALID'],
    ['labels of another kind', { labels: 'all' }, 'REQUEST_INVALID'],
    ['a platform that is none', { platform: null }, 'REQUEST_INVALID'],
    ['a platform without an os', { platform: { architecture: 'amd64' } }, 'REQUEST_INVALID'],
    ['a profile that is no text', { profile: 7 }, 'REQUEST_INVALID'],
    ['a media type that is no text', { mediaType: 7 }, 'REQUEST_INVALID'],
    ['a bad snapshotter', { snapshotter: '../x' }, 'SNAPSHOTTER_INVALID'],
    ['an unknown profile', { profile: 'x' }, 'PROFILE_UNKNOWN'],
    ["an index's media type", { mediaType: 'application/vnd.oci.image.index.v1+json' }, 'MANIFEST_IS_INDEX'],
    ['bytes that are no JSON', { manifest: utf8('x') }, 'JSON_INVALID'],
  ])('%s', (_, more, code) => expect(thrown(() => planned({}, more)).code).toBe(code))

  test('a snapshot annotation that containerd would refuse', () => {
    const layers = [sampleLayer('a', { annotations: { [`${S}x`]: 'v'.repeat(5000) } })]
    expect(thrown(() => planned({ layers })).code).toBe('LABEL_TOO_LARGE')
    expect(planned({ layers: [sampleLayer('a', { annotations: { x: 'v'.repeat(5000) } })] }).plan.layers).toHaveLength(
      1,
    )
  })
})
