/** Tests of hashing and of chain IDs, for Node and for workerd. */
import { sha256 as noble } from '@noble/hashes/sha2.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chainIDs, sha256, Sha256, sha256Each, type Engine } from '../../../core-wasm/core.ts'
import { cut, hex, prose, unhex, utf8 } from './support.ts'

// NIST: FIPS 180-4's examples, and messages of the CAVS byte-oriented short message test.
const VECTORS: readonly (readonly [name: string, message: Uint8Array, digest: string])[] = [
  ['the empty message', utf8(''), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['abc', utf8('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    '448 bits, whose padding takes a block of its own',
    utf8('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'),
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
  [
    '896 bits',
    utf8(
      'abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu',
    ),
    'cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1',
  ],
  ['one byte', unhex('d3'), '28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1'],
  ['two bytes', unhex('11af'), '5ca7133fa735326081558ac312c620eeca9970d1e70a4b95533d956f072d1f98'],
  [
    'a million times a',
    new Uint8Array(1_000_000).fill(97),
    'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0',
  ],
]

/** The chain as the OCI image specification writes it down, link by link. */
function chainByDefinition(diffIDs: readonly string[]): string[] {
  const chain: string[] = []
  for (const diffID of diffIDs) {
    const below = chain.at(-1)
    chain.push(below === undefined ? diffID : `sha256:${hex(noble(utf8(`${below} ${diffID}`)))}`)
  }
  return chain
}

const engines: readonly (Engine | undefined)[] = ['wasm', 'native', undefined]
const digit = fc.constantFrom(...'0123456789abcdef')
const diffID = fc.oneof(
  fc.string({ unit: digit, minLength: 64, maxLength: 64 }).map((digits) => `sha256:${digits}`),
  fc.string({ unit: digit, minLength: 128, maxLength: 128 }).map((digits) => `sha512:${digits}`),
  fc.string({ maxLength: 300 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
)

/** Runs in Node and in workerd alike; where there is no native engine, asking for it gives the core's own. */
export function hashSuite(): void {
  for (const engine of engines) {
    const options = engine === undefined ? {} : { engine }
    describe(`engine ${engine ?? 'chosen by the door'}`, () => {
      test.each(VECTORS)('SHA-256 of %s', (_, message, digest) => {
        expect(hex(sha256(message, options))).toBe(digest)
      })

      test('SHA-256 is the same as @noble/hashes, whatever the length', () => {
        const messages = Array.from({ length: 700 }, (_, length) =>
          Uint8Array.from({ length }, (__, i) => (i * 31 + length) & 255),
        )
        expect(messages.map((message) => hex(sha256(message, options)))).toEqual(
          messages.map((message) => hex(noble(message))),
        )
      })

      test('SHA-256 of pieces is that of the whole, however it is cut', () => {
        fc.assert(
          fc.property(
            fc.uint8Array({ maxLength: 3000 }),
            fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 }),
            (message, sizes) => {
              const stream = new Sha256(options)
              for (const piece of cut(message, sizes)) stream.update(piece)
              expect(hex(stream.digest())).toBe(hex(noble(message)))
            },
          ),
        )
      })

      test('SHA-256 of many messages is that of each, whatever their lengths', () => {
        fc.assert(
          fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 11 }), (messages) => {
            expect(sha256Each(messages, options).map(hex)).toEqual(messages.map((message) => hex(noble(message))))
          }),
        )
        // More than one piece of every lane, and not the same length.
        const large = [0, 1, 2, 3].map((i) => prose(200_000 - i * 777, i + 1))
        expect(sha256Each(large, options).map(hex)).toEqual(large.map((message) => hex(noble(message))))
      })

      test('two streams that take turns do not meet', () => {
        const one = new Sha256(options)
        const two = new Sha256(options)
        for (let i = 0; i < 50; i++) {
          one.update(new Uint8Array(97).fill(i))
          two.update(new Uint8Array(31).fill(255 - i))
        }
        const expected = (size: number, byte: (i: number) => number): string => {
          const whole = noble.create()
          for (let i = 0; i < 50; i++) whole.update(new Uint8Array(size).fill(byte(i)))
          return hex(whole.digest())
        }
        expect(hex(one.digest())).toBe(expected(97, (i) => i))
        expect(hex(two.digest())).toBe(expected(31, (i) => 255 - i))
      })

      test('chain IDs are those of the definition, for any lists of any text', () => {
        fc.assert(
          fc.property(fc.array(fc.array(diffID, { maxLength: 12 }), { maxLength: 12 }), (chains) => {
            expect(chainIDs(chains, options)).toEqual(chains.map(chainByDefinition))
          }),
        )
      })

      test('a batch larger than the core takes at once keeps its order', () => {
        const chains = Array.from({ length: 90 }, (_, image) =>
          Array.from(
            { length: image % 7 === 0 ? 1 : 110 },
            (__, layer) => `sha256:${hex(noble(utf8(`${image}/${layer}`)))}`,
          ),
        )
        expect(chainIDs(chains, options)).toEqual(chains.map(chainByDefinition))
      })
    })
  }

  test('an image of 5000 layers, more than one batch of the lanes holds', () => {
    const chain = Array.from({ length: 5000 }, (_, i) => `sha256:${i.toString(16).padStart(64, '0')}`)
    expect(chainIDs([chain])).toEqual([chainByDefinition(chain)])
  })

  test('the digest is a plain Uint8Array, which slices by copying', () => {
    const digest = sha256(utf8('abc'))
    expect(digest.constructor).toBe(Uint8Array)
    expect(new Sha256().digest().constructor).toBe(Uint8Array)
  })
}
