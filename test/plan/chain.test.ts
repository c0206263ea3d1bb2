import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chainOf } from '../../functions/plan/chain.ts'
import { utf8 } from '../image/bytes.ts'
import { sampleDigest } from '../image/samples.ts'

/** The chain as the image specification defines it, by another library. */
function byDefinition(diffIDs: readonly string[]): string[] {
  const chain: string[] = []
  for (const diffID of diffIDs) {
    const below = chain.at(-1)
    chain.push(below === undefined ? diffID : `sha256:${bytesToHex(sha256(utf8(`${below} ${diffID}`)))}`)
  }
  return chain
}

test('the chain is what the specification says, for any diff IDs of any algorithm', () => {
  const diffID = fc
    .tuple(fc.string(), fc.constantFrom('sha256', 'sha384', 'sha512'))
    .map(([name, algorithm]) => sampleDigest(name, algorithm))
  fc.assert(
    fc.property(fc.array(diffID, { maxLength: 130 }), (diffIDs) => {
      expect(chainOf(diffIDs)).toEqual(byDefinition(diffIDs))
    }),
    { numRuns: 50 },
  )
})

test('the first chain ID is the first diff ID, of whatever algorithm, and the next ones are sha256', () => {
  const diffID = sampleDigest('x', 'sha512')
  const [first, second] = chainOf([diffID, diffID])
  expect(first).toBe(diffID)
  expect(second).toMatch(/^sha256:[0-9a-f]{64}$/)
})

test('a diff ID that comes twice gives two places in the chain', () => {
  const diffID = sampleDigest('x')
  expect(new Set(chainOf([diffID, diffID, diffID])).size).toBe(3)
})
