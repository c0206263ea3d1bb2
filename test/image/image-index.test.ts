import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { digestBytes } from '../../functions/image/digest.ts'
import { matchingEntries, parseIndex } from '../../functions/image/image-index.ts'
import { MEDIA_TYPE } from '../../functions/image/media-type.ts'
import { parsePlatform, platformRank } from '../../functions/image/platform.ts'
import { json } from './bytes.ts'
import { sampleDigest } from './samples.ts'
import { thrown } from './thrown.ts'

function entry(name: string, made?: object) {
  return { mediaType: MEDIA_TYPE.ociManifest, digest: sampleDigest(name), size: 7, ...(made && { platform: made }) }
}

function platform(text: string) {
  const [os = '', architecture = '', variant] = text.split('/')
  return { os, architecture, ...(variant !== undefined && { variant }) }
}

/** Where the chosen entries stand in an index of these platforms. */
function choose(wanted: string, ...names: (string | undefined)[]): number[] {
  const manifests = names.map((name, at) => entry(String(at), name === undefined ? undefined : platform(name)))
  const index = parseIndex(json({ schemaVersion: 2, manifests }))
  return matchingEntries(index, parsePlatform(wanted)).map((found) =>
    manifests.findIndex(({ digest }) => digest === found.digest),
  )
}

test('reads entries with and without a platform', () => {
  const full = { os: 'linux', architecture: 'arm', variant: 'v7', 'os.version': '1', 'os.features': ['x'] }
  const bytes = json({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [entry('a', full), entry('b')] })
  expect(parseIndex(bytes)).toEqual({
    descriptor: { mediaType: MEDIA_TYPE.ociIndex, digest: digestBytes(bytes), size: bytes.length },
    manifests: [entry('a', full), entry('b')],
  })
})

describe('refuses', () => {
  test.each([
    ['a config', { config: {} }, undefined, 'INDEX_IS_MANIFEST'],
    ['layers', { layers: [] }, MEDIA_TYPE.ociIndex, 'INDEX_IS_MANIFEST'],
    ["a manifest's own type", { mediaType: MEDIA_TYPE.dockerManifest }, undefined, 'INDEX_IS_MANIFEST'],
    ["a manifest's given type", {}, MEDIA_TYPE.ociManifest, 'INDEX_IS_MANIFEST'],
    ['schema 1', { fsLayers: [] }, undefined, 'MANIFEST_SCHEMA1'],
    ['an unknown type', {}, 'application/json', 'MEDIA_TYPE_UNSUPPORTED'],
    ['manifests that are no array', { manifests: {} }, undefined, 'DOCUMENT_FIELD_INVALID'],
    ['a platform that is none', { manifests: [entry('a', { os: 7 })] }, undefined, 'DOCUMENT_FIELD_INVALID'],
    [
      'more entries than any image has',
      { manifests: Array.from({ length: 4097 }, () => entry('a')) },
      undefined,
      'DOCUMENT_TOO_LARGE',
    ],
  ])('%s', (_, more, given, code) => {
    expect(thrown(() => parseIndex(json({ schemaVersion: 2, manifests: [], ...more }), given)).code).toBe(code)
  })

  test("nothing where docker's type and OCI's differ: the one that it came under counts", () => {
    const bytes = json({ schemaVersion: 2, manifests: [], mediaType: MEDIA_TYPE.dockerIndex })
    expect(parseIndex(bytes, MEDIA_TYPE.ociIndex).descriptor.mediaType).toBe(MEDIA_TYPE.ociIndex)
  })
})

describe('matching entries', () => {
  test.each<[string, (string | undefined)[], number[]]>([
    ['linux/amd64', ['linux/arm64', 'linux/amd64', 'linux/386'], [1, 2]],
    ['linux/amd64', ['linux/386', 'linux/amd64'], [1, 0]],
    ['linux/amd64', [undefined, 'linux/386', undefined, 'linux/amd64'], [3, 1, 0, 2]],
    ['linux/amd64', ['linux/amd64', 'linux/x86_64', 'linux/amd64/v1'], [0, 1, 2]],
    ['linux/arm/v7', ['linux/arm/v5', 'linux/arm/v6', 'linux/arm', 'linux/arm/v8'], [2, 1, 0]],
    ['linux/arm64', ['linux/arm/v7', 'linux/arm64/v8', 'unknown/unknown'], [1, 0]],
    ['linux/s390x', ['linux/amd64', 'unknown/unknown'], []],
    ['linux/s390x', [], []],
  ])('%s of %j', (wanted, names, order) => expect(choose(wanted, ...names)).toEqual(order))

  test('are in order, stable, and nothing else is left out', () => {
    const name = fc.constantFrom(
      undefined,
      'linux/amd64',
      'linux/386',
      'linux/amd64/v2',
      'linux/arm/v6',
      'linux/arm64',
      'windows/amd64',
    )
    const wanted = fc.constantFrom('linux/amd64', 'linux/amd64/v3', 'linux/arm64', 'linux/arm/v7')
    fc.assert(
      fc.property(wanted, fc.array(name, { maxLength: 12 }), (machine, names) => {
        const rank = (at: number) => {
          const offered = names[at]
          return offered === undefined ? Infinity : platformRank(parsePlatform(machine), platform(offered))
        }
        const order = choose(machine, ...names)
        const due = names.map((_, at) => at).filter((at) => rank(at) !== undefined)
        // One entry with the same digest as another cannot be told apart, so places are compared by rank.
        expect(order.map(rank)).toEqual(due.map(rank).sort((a, b) => (a === b ? 0 : Number(a) - Number(b))))
      }),
    )
  })
})
