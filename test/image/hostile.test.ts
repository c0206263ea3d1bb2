import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LayercastError } from '../../functions/errors.ts'
import { parseConfig } from '../../functions/image/config.ts'
import { parseIndex } from '../../functions/image/image-index.ts'
import { parseManifest } from '../../functions/image/manifest.ts'
import { json } from './bytes.ts'
import { sampleDigest, sampleLayer } from './samples.ts'
import { tolerated } from './thrown.ts'

const PARSERS = { parseManifest, parseIndex, parseConfig }
const NAMES = Object.keys(PARSERS) as (keyof typeof PARSERS)[]

const leaf = fc.oneof(
  fc.jsonValue({ maxDepth: 1 }),
  fc.constantFrom<unknown>(sampleDigest('x'), sampleLayer('a'), 2, 'layers', [], {}, null),
)
const platform = fc.record({ os: leaf, architecture: leaf, variant: leaf, 'os.features': leaf }, { requiredKeys: [] })
const descriptor = fc.record(
  { mediaType: leaf, digest: leaf, size: leaf, annotations: leaf, platform },
  { requiredKeys: [] },
)
const rootfs = fc.record({ type: leaf, diff_ids: fc.oneof(leaf, fc.array(leaf)) }, { requiredKeys: [] })
const nearly = fc.record(
  {
    schemaVersion: leaf,
    mediaType: leaf,
    config: fc.oneof(leaf, descriptor),
    layers: fc.oneof(leaf, fc.array(descriptor)),
    manifests: fc.oneof(leaf, fc.array(descriptor)),
    rootfs: fc.oneof(leaf, rootfs),
    os: leaf,
  },
  { requiredKeys: [] },
)

test.each(NAMES)('%s reads or refuses what is nearly a document, and never breaks', (name) => {
  fc.assert(
    fc.property(nearly, (value) => {
      const result = tolerated<unknown>(() => PARSERS[name](json(value)))
      // What was read is plain data again; what was refused says why.
      expect(result instanceof LayercastError ? result.message : JSON.stringify(result)).not.toBe('')
    }),
    { numRuns: 1000 },
  )
})

test.each(NAMES)('%s reads or refuses any bytes, and never breaks', (name) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      expect(tolerated<unknown>(() => PARSERS[name](bytes))).toBeInstanceOf(Object)
    }),
  )
})
