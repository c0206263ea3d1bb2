import { describe, expect, test } from 'vitest'
import type { Descriptor } from '../../functions/image/descriptor.ts'
import {
  blobNeed,
  checkSnapshotterName,
  inferProfile,
  isOneOf,
  lacking,
  profileNamed,
  profileOf,
  PROFILES,
} from '../../functions/plan/profiles.ts'
import { sampleLayer } from '../image/samples.ts'
import { thrown } from '../image/thrown.ts'

const S = 'containerd.io/snapshot/'
const layer = (annotations: Record<string, string> = {}) => sampleLayer('a', { annotations }) as Descriptor
const bootstrap = layer({ [`${S}nydus-bootstrap`]: 'true' })
const blob = layer({ [`${S}nydus-blob`]: 'true' })

describe('is inferred', () => {
  test.each([
    ['overlayfs', 'overlayfs'],
    ['native', 'native'],
    ['btrfs', 'btrfs'],
    ['zfs', 'zfs'],
    ['devmapper', 'devmapper'],
    ['blockfile', 'blockfile'],
    ['fuse-overlayfs', 'fuse-overlayfs'],
    ['erofs', 'erofs'],
    ['nydus', 'nydus'],
    ['stargz', 'stargz'],
    ['soci', 'soci'],
    ['overlaybd', 'overlaybd'],
    ['cvmfs-snapshotter', 'cvmfs'],
    ['my-own', 'generic'],
    ['constructor', 'generic'],
  ])('from the name %s: %s', (snapshotter, profile) => expect(inferProfile(snapshotter, []).name).toBe(profile))

  test('from the bootstrap layer of a RAFS image, under nydus only', () => {
    expect(inferProfile('nydus', [blob, bootstrap]).name).toBe('nydus-rafs')
    expect(inferProfile('nydus', [blob]).name).toBe('nydus')
    expect(inferProfile('nydus', [layer({ [`${S}nydus-bootstrap`]: '' })]).name).toBe('nydus')
    expect(inferProfile('overlayfs', [bootstrap]).name).toBe('overlayfs')
  })
})

describe('blobs', () => {
  test.each([
    ['overlayfs', 'required', false],
    ['erofs', 'required', false],
    ['nydus', 'none', true],
    ['nydus-tarfs', 'fallback', true],
    ['stargz', 'fallback', true],
    ['soci', 'fallback', true],
    ['overlaybd', 'fallback', true],
    ['cvmfs', 'fallback', true],
    ['generic', 'fallback', true],
  ])('%s: %s, taken at Prepare: %s', (name, need, mayTake) => {
    expect(blobNeed(profileNamed(name), layer())).toBe(need)
    expect(profileNamed(name).mayTake).toBe(mayTake)
  })

  test('a RAFS image needs its bootstrap here and its data never', () => {
    const rafs = profileNamed('nydus-rafs')
    expect([bootstrap, blob, layer()].map((one) => blobNeed(rafs, one))).toEqual(['required', 'none', 'fallback'])
  })
})

test('what snapshotters that fail without a label require', () => {
  const required = PROFILES.filter(({ requires }) => requires.length > 0)
  expect(Object.fromEntries(required.map(({ name, requires }) => [name, requires]))).toEqual({
    nydus: ['containerd.io/snapshot.ref', `${S}cri.layer-digest`, `${S}cri.image-ref`],
    'nydus-rafs': ['containerd.io/snapshot.ref', `${S}cri.image-ref`],
  })
})

// Without them soci unpacks on the node, as the others do: nothing of it fails but its parallel mode.
test('soci requires nothing and reads every label that its Prepare looks up', () => {
  const { requires, reads } = profileNamed('soci')
  expect(requires).toEqual([])
  const header = `${S}remote/soci.header.x-request-id`
  for (const key of ['cri.image-ref', 'cri.layer-digest', 'cri.manifest-digest', 'remote/soci.index.digest']) {
    expect(isOneOf(reads, S + key)).toBe(true)
  }
  expect(isOneOf(reads, header)).toBe(true)
})

test.each([
  ['stargz', ['remote/urls', 'remote/urls.3', 'remote/stargz.reference', 'stargz/toc.digest']],
  ['overlaybd', ['overlaybd/blob-fs-type', 'overlaybd/download-remote-blob', 'overlaybd/turbo-oci/target-digest']],
  ['erofs', ['max-size', 'diff-id']],
])('%s reads %j', (name, keys) => {
  expect(keys.filter((key) => !isOneOf(profileNamed(name).reads, S + key))).toEqual([])
})

test('an acceleration layer of overlaybd needs its blob on the node', () => {
  expect(blobNeed(profileNamed('overlaybd'), layer({ [`${S}overlaybd/acceleration-layer`]: 'yes' }))).toBe('required')
})

test('what a snapshotter writes by itself, no plan is asked to carry', () => {
  for (const { requires, writes } of PROFILES) expect(requires.filter((key) => isOneOf(writes, key))).toEqual([])
})

test.each([
  [['a/b'], 'a/b', true],
  [['a/b'], 'a/bc', false],
  [['a/*'], 'a/b', true],
  [['a/*'], 'a', false],
  [[], 'a', false],
])('of the labels %j, %s is one: %s', (patterns, key, is) => expect(isOneOf(patterns, key)).toBe(is))

test('layers that lack an annotation are named', () => {
  const need = { anyOf: ['a', 'b'], on: 'everyLayer', missing: 'warn' } as const
  const layers = [layer({ a: '1' }), layer(), layer({ b: '1' }), layer({ a: '' })]
  expect(lacking(need, layers)).toEqual([1, 3])
  expect(lacking({ ...need, on: 'someLayer' }, layers)).toEqual([])
  expect(lacking({ ...need, on: 'someLayer' }, [layer(), layer()])).toEqual([0, 1])
})

test('names are unique, no snapshotter is claimed twice, and all of it is plain data', () => {
  const names = PROFILES.map(({ name }) => name)
  const snapshotters = PROFILES.flatMap((profile) => profile.snapshotters)
  expect(new Set(names).size).toBe(names.length)
  expect(new Set(snapshotters).size).toBe(snapshotters.length)
  expect(JSON.parse(JSON.stringify(PROFILES))).toEqual(PROFILES)
})

test('a plan of a profile that a later version has goes as one of an unknown snapshotter', () => {
  expect(profileOf({ profile: 'stargz' }).name).toBe('stargz')
  expect(profileOf({ profile: 'of-2030' }).name).toBe('generic')
})

test('an unknown profile is refused with those there are', () => {
  const error = thrown(() => profileNamed('nydsu'))
  expect(error.code).toBe('PROFILE_UNKNOWN')
  expect(error.message).toContain('"nydsu"')
  expect(error.fix).toContain('nydus-rafs')
})

describe("a snapshotter's name", () => {
  test.each(['overlayfs', 'fuse-overlayfs', 'a.b_c-d', '9', 'a'.repeat(76)])('%s', (name) => {
    expect(checkSnapshotterName(name)).toBe(name)
  })

  test.each(['', 'a b', 'a/b', '../x', '-a', 'a-', 'a..b', 'ä', 'a\n', 'a'.repeat(77)])('refuses %j', (name) => {
    expect(thrown(() => checkSnapshotterName(name)).code).toBe('SNAPSHOTTER_INVALID')
  })
})
