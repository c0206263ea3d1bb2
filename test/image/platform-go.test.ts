import { expect, test } from 'vitest'
import { matchingEntries, type ImageIndex } from '../../functions/image/image-index.ts'
import { formatPlatform, matchPlatform, parsePlatform, type Platform } from '../../functions/image/platform.ts'
import go from './fixtures/platforms.json' with { type: 'json' }
import { sampleDigest } from './samples.ts'
import { thrown } from './thrown.ts'

/**
 * The table is what github.com/containerd/platforms v1.0.0-rc.5 makes of these texts on linux/amd64: Parse and Normalize,
 * FormatAll, and which of them Only(wanted) matches and puts before which.
 */
const parsed = go.parsed as Record<string, { platform: Platform; format: string } | null>
const match = go.match as unknown as Record<string, { matches: string[]; better: [string, string][] | null }>
const readable = Object.keys(parsed).filter((text) => parsed[text] !== null)

test.each(Object.keys(parsed).filter((text) => parsed[text] === null))('%s is refused, as by containerd', (text) => {
  expect(thrown(() => parsePlatform(text)).code).toBe('PLATFORM_INVALID')
})

test.each(readable)('%s is read and written as by containerd', (text) => {
  const platform = parsePlatform(text)
  expect({ platform, format: formatPlatform(platform) }).toEqual(parsed[text])
  expect(parsePlatform(formatPlatform(platform))).toEqual(platform)
})

test.each(readable)('%s takes what containerd takes for it, and prefers what it prefers', (text) => {
  const wanted = parsePlatform(text)
  const { matches = [], better } = match[text] ?? {}
  expect(readable.filter((other) => matchPlatform(wanted, parsePlatform(other)))).toEqual(
    readable.filter((other) => matches.includes(other)),
  )
  for (const [one, other] of better ?? []) {
    // A feature that an index names twice counts twice in Go; here it is one.
    if ([one, other].includes('linux(+a+erofs+a)/amd64')) continue
    const entries = [other, one].map((name) => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: sampleDigest(name),
      size: 1,
      platform: parsePlatform(name),
    }))
    const index: ImageIndex = {
      descriptor: { mediaType: '', digest: sampleDigest('index'), size: 1 },
      manifests: entries,
    }
    expect(matchingEntries(index, wanted).map(({ digest }) => digest)).toEqual([sampleDigest(one), sampleDigest(other)])
  }
})
