import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LABEL } from '../../functions/image/label-names.ts'
import { LayercastError, parsePlan, plan } from '../../functions/library.ts'
import type { Plan } from '../../functions/library.ts'
import { canonicalBytes } from '../../functions/plan/canonical.ts'
import { json, utf8 } from '../image/bytes.ts'
import { sampleDigest, sampleImage, sampleLayer } from '../image/samples.ts'
import { thrown, tolerated } from '../image/thrown.ts'

const layers = [
  sampleLayer('a', { annotations: { 'containerd.io/snapshot/x': 'y' } }),
  sampleLayer('b'),
  sampleLayer('c'),
]
const good = plan({ reference: 'app', snapshotter: 'nydus', ...sampleImage({ layers }) })

/** The good plan as a value that may be altered. */
// oxlint-disable-next-line typescript/no-explicit-any
const copy = (): any => JSON.parse(new TextDecoder().decode(good.bytes))

const REMOTE = 'containerd.io/snapshot/remote'

describe('accepts', () => {
  test('what plan() made, and gives the same again', () => expect(parsePlan(good.bytes)).toEqual(good))

  test('the same value in other bytes, under the canonical digest', () => {
    const pretty = utf8(`${JSON.stringify(copy(), undefined, 2)}\n`)
    const unsorted = json(Object.fromEntries(Object.entries(copy()).toReversed()))
    expect(parsePlan(pretty)).toEqual(good)
    expect(parsePlan(unsorted)).toEqual(good)
  })

  test('a profile that this version does not know: all that matters is in the plan', () => {
    const value = copy()
    value.profile = 'from-the-future'
    expect(parsePlan(json(value)).plan.profile).toBe('from-the-future')
  })

  test('a plan with CRI labels off, and one whose image brings labels under their names', () => {
    const evil = [sampleLayer('a', { annotations: { [LABEL.imageRef]: 'evil', [LABEL.parentChainID]: 'evil' } })]
    const off = plan({ reference: 'app', snapshotter: 'overlayfs', labels: 'off', ...sampleImage({ layers: evil }) })
    expect(parsePlan(off.bytes)).toEqual(off)
  })
})

test.each(['', 'x'.repeat(4096), 'app\u001B[2J', 'é'.repeat(2040)])(
  'refuses the reference %j, no label',
  (reference) => {
    expect(thrown(() => parsePlan(json({ ...copy(), reference }))).code).toBe('REFERENCE_INVALID')
  },
)

describe('refuses, by the path of what is wrong,', () => {
  const other = sampleDigest('other')
  test.each<[string, string, (value: ReturnType<typeof copy>) => void]>([
    ['another schema', 'schema', (p) => (p.schema = 'layercast.plan/v2')],
    ['no schema', 'schema', (p) => delete p.schema],
    ['an unknown field', 'extra', (p) => (p.extra = 1)],
    ['an unknown field of a layer', 'layers[1].extra', (p) => (p.layers[1].extra = 1)],
    ['an unknown field of a descriptor', 'layers[1].descriptor.urls', (p) => (p.layers[1].descriptor.urls = [])],
    ['a missing layer list', 'layers', (p) => (p.layers = {})],
    ['a reference that the labels do not carry', `layers[0].labels["${LABEL.imageRef}"]`, (p) => (p.reference = 'app')],
    ['a snapshotter with a path in it', 'snapshotter', (p) => (p.snapshotter = '../x')],
    ['a profile that is no name', 'profile', (p) => (p.profile = 'a b')],
    ['a platform that is not normal', 'platform', (p) => (p.platform = { os: 'linux', architecture: 'x86_64' })],
    ['a platform of nothing', 'platform', (p) => (p.platform = { os: 'linux', architecture: '' })],
    [
      "an index's manifest",
      'manifest.mediaType',
      (p) => (p.manifest.mediaType = 'application/vnd.oci.image.index.v1+json'),
    ],
    ['a config of another type', 'config.mediaType', (p) => (p.config.mediaType = 'text/plain')],
    [
      'a layer of another type',
      'layers[0].descriptor.mediaType',
      (p) => (p.layers[0].descriptor.mediaType = 'text/plain'),
    ],
    ['a negative size', 'layers[0].descriptor.size', (p) => (p.layers[0].descriptor.size = -1)],
    ['a blob need of no kind', 'layers[0].blob', (p) => (p.layers[0].blob = 'maybe')],
    ['a false diff ID', 'layers[0].chainID', (p) => (p.layers[0].diffID = other)],
    ['a false chain ID', 'layers[1].chainID', (p) => (p.layers[1].chainID = other)],
    ['a false parent', 'layers[2].parent', (p) => (p.layers[2].parent = p.layers[0].chainID)],
    ['a parent under the first layer', 'layers[0].parent', (p) => (p.layers[0].parent = other)],
    ['no parent', 'layers[1].parent', (p) => (p.layers[1].parent = '')],
    ['a false top', 'chainID', (p) => (p.chainID = p.layers[0].chainID)],
    ['a layer left out', 'layers[1].chainID', (p) => p.layers.splice(1, 1)],
    ['layers in another order', 'layers[0].chainID', (p) => (p.layers = p.layers.toReversed())],
    [
      'a label that is no text',
      'layers[0].labels["containerd.io/snapshot/x"]',
      (p) => (p.layers[0].labels['containerd.io/snapshot/x'] = 7),
    ],
    [
      'a label outside of snapshots',
      'layers[0].labels["containerd.io/gc.root"]',
      (p) => (p.layers[0].labels['containerd.io/gc.root'] = 'x'),
    ],
    [
      'an empty label',
      'layers[0].labels["containerd.io/snapshot/x"]',
      (p) => (p.layers[0].labels['containerd.io/snapshot/x'] = ''),
    ],
    [
      'a label beyond 4096 bytes',
      'layers[0].labels["containerd.io/snapshot/x"]',
      (p) => (p.layers[0].labels['containerd.io/snapshot/x'] = 'v'.repeat(4096)),
    ],
    ['no labels', 'layers[0].labels', (p) => delete p.layers[0].labels],
    [
      'a missing snapshot.ref',
      `layers[0].labels["${LABEL.snapshotRef}"]`,
      (p) => delete p.layers[0].labels[LABEL.snapshotRef],
    ],
    [
      'a false snapshot.ref',
      `layers[1].labels["${LABEL.snapshotRef}"]`,
      (p) => (p.layers[1].labels[LABEL.snapshotRef] = other),
    ],
    ['a false diff-id label', `layers[1].labels["${LABEL.diffID}"]`, (p) => (p.layers[1].labels[LABEL.diffID] = other)],
    [
      'a parent label on the first layer',
      `layers[0].labels["${LABEL.parentChainID}"]`,
      (p) => (p.layers[0].labels[LABEL.parentChainID] = other),
    ],
    [
      "another layer's digest for the snapshotter",
      `layers[1].labels["${LABEL.layerDigest}"]`,
      (p) => (p.layers[1].labels[LABEL.layerDigest] = other),
    ],
    [
      'another image for the snapshotter',
      `layers[1].labels["${LABEL.imageRef}"]`,
      (p) => (p.layers[1].labels[LABEL.imageRef] = 'evil.example/app:latest'),
    ],
    [
      'another manifest for the snapshotter',
      `layers[1].labels["${LABEL.manifestDigest}"]`,
      (p) => (p.layers[1].labels[LABEL.manifestDigest] = other),
    ],
    [
      'a required label that is not there',
      'layers[0].labels["containerd.io/snapshot/y"]',
      (p) => p.requires.push('containerd.io/snapshot/y'),
    ],
    [
      'a label that its snapshotter alone sets',
      `layers[0].labels["${REMOTE}"]`,
      (p) => {
        p.profile = 'stargz'
        p.layers[0].labels[REMOTE] = 'remote snapshot'
      },
    ],
    ['requires that are no texts', 'requires[0]', (p) => (p.requires = [7])],
    ['a warning without detail', 'warnings[0].detail', (p) => (p.warnings = [{ code: 'X' }])],
  ])('%s', (_, path, alter) => {
    const value = copy()
    alter(value)
    const error = thrown(() => parsePlan(json(value)))
    expect(error.code).toBe('PLAN_INVALID')
    expect(error.detail['path']).toBe(path)
  })

  test.each<[string, Uint8Array, string]>([
    ['no JSON', utf8('plan'), 'JSON_INVALID'],
    ['two plans', utf8('{}{}'), 'JSON_TRAILING_BYTES'],
    ['a key given twice', utf8('{"schema":"layercast.plan/v1","schema":"x"}'), 'JSON_DUPLICATE_KEY'],
    ['no object', utf8('[]'), 'PLAN_INVALID'],
    ['more than 16 MiB', new Uint8Array(16 * 1024 * 1024 + 1), 'DOCUMENT_TOO_LARGE'],
  ])('%s', (_, bytes, code) => expect(thrown(() => parsePlan(bytes)).code).toBe(code))

  test('a digest that is none', () => {
    const value = copy()
    value.layers[1].diffID = 'sha256:x'
    const error = thrown(() => parsePlan(json(value)))
    expect(error.code).toBe('DIGEST_INVALID')
    expect(error.message).toContain('layers[1].diffID')
  })
})

test('bytes with random damage are a plan of their own, or refused, never worse', () => {
  const text = good.bytes
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.uint8Array({ maxLength: 3 }), fc.nat(3), (at, put, gone) => {
      const damaged = Uint8Array.from([...text.subarray(0, at), ...put, ...text.subarray(at + gone)])
      const result = tolerated(() => parsePlan(damaged))
      expect(result instanceof LayercastError || isConsistent(result.plan)).toBe(true)
    }),
    { numRuns: 1000 },
  )
})

test('any value in any place of a plan is refused or read, never worse', () => {
  const fields = ['schema', 'reference', 'platform', 'manifest', 'layers', 'chainID', 'requires', 'warnings']
  fc.assert(
    fc.property(fc.constantFrom(...fields), fc.jsonValue(), (field, value) => {
      const result = tolerated(() => parsePlan(canonicalBytes({ ...copy(), [field]: value })))
      expect(result instanceof LayercastError || isConsistent(result.plan)).toBe(true)
    }),
    { numRuns: 500 },
  )
})

/** Whether each layer stands on the one below and the top is the plan's own. */
function isConsistent({ layers: all, chainID }: Plan): boolean {
  const linked = all.every((layer, at) => layer.parent === (all[at - 1]?.chainID ?? ''))
  return linked && chainID === (all.at(-1)?.chainID ?? '')
}
