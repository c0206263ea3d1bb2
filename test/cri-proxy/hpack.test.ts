import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeLiterals, HpackDecoder } from '../../functions/cri-proxy/hpack.ts'
import { decodeHuffman } from '../../functions/cri-proxy/huffman.ts'
import { LayercastError } from '../../functions/errors.ts'

const bytes = (hex: string): Uint8Array => Buffer.from(hex.replaceAll(' ', ''), 'hex')
const decoded = (decoder: HpackDecoder, hex: string): [string, string][] => [...decoder.decode(bytes(hex))]

describe('header blocks of RFC 7541, Appendix C', () => {
  test('C.3 and C.4: three requests on one connection, plain and Huffman-coded', () => {
    const plain = [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ]
    const coded = [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ]
    for (const blocks of [plain, coded]) {
      const decoder = new HpackDecoder()
      expect(blocks.map((block) => decoded(decoder, block))).toEqual([
        [
          [':method', 'GET'],
          [':scheme', 'http'],
          [':path', '/'],
          [':authority', 'www.example.com'],
        ],
        [
          [':method', 'GET'],
          [':scheme', 'http'],
          [':path', '/'],
          [':authority', 'www.example.com'],
          ['cache-control', 'no-cache'],
        ],
        [
          [':method', 'GET'],
          [':scheme', 'https'],
          [':path', '/index.html'],
          [':authority', 'www.example.com'],
          ['custom-key', 'custom-value'],
        ],
      ])
    }
  })

  test('C.6: three answers whose table is too small for all entries', () => {
    const decoder = new HpackDecoder()
    // The examples' table has 256 bytes: a size update says so.
    const blocks = [
      '3fe1 01 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ]
    const location = ['location', 'https://www.example.com']
    expect(blocks.map((block) => decoded(decoder, block))).toEqual([
      [[':status', '302'], ['cache-control', 'private'], ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'], location],
      [[':status', '307'], ['cache-control', 'private'], ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'], location],
      [
        [':status', '200'],
        ['cache-control', 'private'],
        ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
        location,
        ['content-encoding', 'gzip'],
        ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
      ],
    ])
    // What was evicted is not there any more.
    expect(() => decoder.decode(bytes('c2'))).toThrow(/entry 66/)
  })
})

test('fields that are coded here are read as they were', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/)
  const value = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    maxLength: 5000,
  })
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 20 }), (fields) => {
      expect([...new HpackDecoder().decode(encodeLiterals(fields))]).toEqual(fields)
    }),
  )
})

test.each([
  ['an entry that is not there', 'be'],
  ['entry 0', '80'],
  ['a string that ends early', '4001 61 05 62'],
  ['a number without end', '7fffffffffffff'],
  ['a table of sixteen megabytes', '3fe1ffff07'],
  ['a Huffman code that ends within a symbol', '4001 61 81 00'],
  ['the end of the string within it', '4001 61 84 ffffffff'],
])('%s is refused', (_, hex) => {
  expect(() => new HpackDecoder().decode(bytes(hex))).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
})

test('whatever bytes come, it is an answer or the one error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (block) => {
      for (const read of [() => new HpackDecoder().decode(block), () => decodeHuffman(block)]) {
        const error = thrownBy(read)
        expect(error === undefined || error instanceof LayercastError).toBe(true)
      }
    }),
    { numRuns: 2000 },
  )
})

function thrownBy(work: () => unknown): unknown {
  try {
    work()
    return undefined
  } catch (error) {
    return error
  }
}
