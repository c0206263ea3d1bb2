/** Tests of `unzstd`, for Node and for workerd. */
import { describe, expect, test } from 'vitest'
import { unzstd } from '../../../core-wasm/core.ts'
import fixtures from '../fixtures/zstd.json' with { type: 'json' }
import {
  SAMPLES,
  bytes,
  concat,
  cut,
  decode,
  same,
  skippable,
  utf8,
  verdict,
  zstdBlock,
  zstdFrame,
  type Sample,
} from './support.ts'
import { anatomy } from './zstd-anatomy.ts'

// The fixtures are libzstd's work at several levels, with and without target block sizes and windows.
const SAMPLED = fixtures.map(({ sample, length, base64 }) => ({
  name: `${sample}, ${length} bytes`,
  content: SAMPLES[sample as Sample](length),
  compressed: Uint8Array.from(atob(base64), (char) => char.codePointAt(0) ?? 0),
}))

/** A frame header with a window of 1 KiB and no content size. */
const WINDOW_1K = bytes(0x00, 0x00)
const raw = (text: string, last = false): Uint8Array => zstdBlock(0, text.length, utf8(text), last)
const framed = (blocks: Uint8Array, header = WINDOW_1K): Uint8Array => zstdFrame({ header, blocks })
const refused = (data: Uint8Array): unknown => verdict(unzstd(), [data])

/** Runs in Node and in workerd alike. */
export function zstdSuite(): void {
  describe('RFC 8878: what libzstd makes', () => {
    test('the fixtures make use of every kind of block, literals and sequence codes', () => {
      const seen = new Set(SAMPLED.flatMap(({ compressed }) => [...anatomy(compressed)]))
      for (const code of ['lengths', 'offsets', 'matches']) {
        for (const mode of ['predefined', 'coded', 'kept']) expect(seen).toContain(`${code} ${mode}`)
      }
      for (const kind of ['raw', 'repeated', 'compressed']) expect(seen).toContain(`block ${kind}`)
      for (const kind of ['compressed', 'treeless']) {
        for (const streams of ['one stream', 'four streams']) expect(seen).toContain(`literals ${kind}, ${streams}`)
      }
      for (const other of ['lengths repeated', 'offsets repeated', 'weights direct', 'weights compressed', 'window']) {
        expect(seen).toContain(other)
      }
    })

    test.each(SAMPLED)('$name', ({ content, compressed }) => {
      for (const sizes of [[compressed.length], [1], [3, 500], [4096]]) {
        expect(same(decode(unzstd(), cut(compressed, sizes)), content)).toBe(true)
      }
    })

    test('all of them one after another, with skippable frames between', () => {
      const parts = SAMPLED.flatMap(({ compressed }, i) => [compressed, skippable(new Uint8Array(i * 999), i)])
      const whole = concat(SAMPLED.map(({ content }) => content))
      expect(same(decode(unzstd(), cut(concat(parts), [7000])), whole)).toBe(true)
    })

    test('truncation is refused at every byte', () => {
      for (const { compressed } of SAMPLED.filter((sample) => sample.compressed.length < 2000)) {
        const verdicts = Array.from(compressed, (_, length) => verdict(unzstd(), [compressed.subarray(0, length)]))
        expect(verdicts).toEqual(verdicts.map(() => ({ code: 'ZSTD_TRUNCATED' })))
      }
    })

    test('a wrong checksum is refused', () => {
      for (const { compressed } of SAMPLED.filter((sample) => anatomy(sample.compressed).has('checksum'))) {
        const wrong = compressed.slice()
        wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1
        expect(verdict(unzstd(), [wrong])).toEqual({ code: 'ZSTD_CHECKSUM' })
      }
    })
  })

  describe('RFC 8878: frames made by hand', () => {
    test('raw and repeated blocks', () => {
      const data = framed(concat([raw('abc'), zstdBlock(1, 5, utf8('x')), raw(''), raw('end', true)]))
      expect(decode(unzstd(), cut(data, [1]))).toEqual(utf8('abcxxxxxend'))
    })

    test('a block of repeated literals and a match of its own last byte', () => {
      // Literals: repeated, 4 bytes of z. One sequence: codes repeated; length 4, offset code 0 (the first repeat), match 3.
      const content = bytes(0x21, 0x7a, 1, 0b01010100, 4, 0, 0, 1)
      expect(decode(unzstd(), [framed(zstdBlock(2, content.length, content, true))])).toEqual(utf8('zzzzzzz'))
    })

    test.each([
      ['one byte', bytes(0x20, 3)],
      ['two bytes, which count from 256', bytes(0x60, 0, 0)],
      ['four bytes', bytes(0xa0, 3, 0, 0, 0)],
      ['eight bytes', bytes(0xe0, 3, 0, 0, 0, 0, 0, 0, 0)],
      ['a window and eight bytes', bytes(0xc0, 0, 3, 0, 0, 0, 0, 0, 0, 0)],
    ])('a content size of %s is checked', (name, header) => {
      const text = name.startsWith('two') ? 'x'.repeat(256) : 'abc'
      expect(decode(unzstd(), [framed(raw(text, true), header)])).toEqual(utf8(text))
      expect(refused(framed(raw(text.slice(1), true), header))).toEqual({ code: 'ZSTD_CONTENT_SIZE' })
      const long = framed(concat([raw(text.slice(1)), raw('zz', true)]), header)
      expect(refused(long)).toEqual({ code: 'ZSTD_CONTENT_SIZE' })
      // libzstd does not look where the last block is empty (found by fuzzing, seed 329932).
      expect(refused(framed(raw('', true), header))).toEqual({ code: 'ZSTD_CONTENT_SIZE' })
    })

    test('a dictionary is refused, a dictionary ID of zero is none', () => {
      expect(refused(framed(raw('', true), bytes(0x01, 0, 9)))).toEqual({ code: 'ZSTD_DICTIONARY' })
      expect(refused(framed(raw('', true), bytes(0x02, 0, 0, 9)))).toEqual({ code: 'ZSTD_DICTIONARY' })
      expect(refused(framed(raw('', true), bytes(0x03, 0, 0, 0, 0, 9)))).toEqual({ code: 'ZSTD_DICTIONARY' })
      for (const header of [bytes(0x01, 0, 0), bytes(0x02, 0, 0, 0), bytes(0x03, 0, 0, 0, 0, 0)]) {
        expect(decode(unzstd(), [framed(raw('abc', true), header)])).toEqual(utf8('abc'))
      }
    })

    test('windows up to 128 MiB are taken, larger ones refused before memory is asked for', () => {
      expect(decode(unzstd(), [framed(raw('abc', true), bytes(0x00, 17 << 3))])).toEqual(utf8('abc'))
      expect(refused(framed(raw('abc', true), bytes(0x00, (17 << 3) + 1)))).toEqual({ code: 'ZSTD_WINDOW' })
      expect(refused(framed(raw('abc', true), bytes(0x00, 0xff)))).toEqual({ code: 'ZSTD_WINDOW' })
      expect(refused(framed(raw('abc', true), bytes(0xa0, 1, 0, 0, 8)))).toEqual({ code: 'ZSTD_WINDOW' })
      expect(refused(framed(raw('abc', true), bytes(0xe0, 0, 0, 0, 0, 1, 0, 0, 0)))).toEqual({ code: 'ZSTD_WINDOW' })
    })

    test('what is no frame is refused, by name', () => {
      expect(refused(utf8('PK\u0003\u0004'))).toEqual({ code: 'ZSTD_MAGIC' })
      expect(refused(concat([framed(raw('a', true)), bytes(0, 0, 0, 0)]))).toEqual({ code: 'ZSTD_MAGIC' })
      expect(refused(framed(raw('', true), bytes(0x08, 0)))).toEqual({ code: 'ZSTD_FRAME_HEADER' })
      expect(refused(framed(zstdBlock(3, 0, bytes(), true)))).toEqual({ code: 'ZSTD_BLOCK_TYPE' })
      expect(refused(framed(raw('x'.repeat(1025), true)))).toEqual({ code: 'ZSTD_BLOCK_SIZE' })
      expect(refused(framed(zstdBlock(1, 1025, bytes(0), true)))).toEqual({ code: 'ZSTD_BLOCK_SIZE' })
      expect(refused(bytes())).toEqual({ code: 'ZSTD_TRUNCATED' })
    })

    test.each([
      ['nothing', [], 'ZSTD_BLOCK_SIZE'],
      ['more literals than a block may hold', [0x05, 0xff, 0xff], 'ZSTD_LITERALS'],
      ['more literals than there are', [0x18, 1, 2], 'ZSTD_LITERALS'],
      ['no sequences section', [0x08, 1], 'ZSTD_SEQUENCES'],
      ['treeless literals with no code to keep', [0x13, 0x40, 0, 1, 0], 'ZSTD_HUFFMAN'],
      ['sequence codes to keep where there are none', [0x08, 1, 1, 0xfc, 1], 'ZSTD_FSE'],
      ['something after the last section', [0x08, 1, 0, 0], 'ZSTD_SEQUENCES'],
      ['reserved bits of the modes', [0x08, 1, 1, 0b01010101, 1, 0, 0, 1], 'ZSTD_SEQUENCES'],
      ['a sequence code that is none', [0x08, 1, 1, 0b01010100, 36, 0, 0, 1], 'ZSTD_FSE'],
      ['no end mark', [0x08, 1, 1, 0b01010100, 1, 0, 0, 0], 'ZSTD_SEQUENCES'],
      ['bits left over', [0x08, 1, 1, 0b01010100, 1, 0, 0, 2], 'ZSTD_SEQUENCES'],
      ['more literals in a sequence than there are', [0x08, 1, 1, 0b01010100, 2, 0, 0, 1], 'ZSTD_SEQUENCES'],
      ['an offset before the beginning', [0x08, 1, 1, 0b01010100, 1, 2, 0, 0b110], 'ZSTD_OFFSET'],
      ['an offset of nothing: the first repeat less one', [0x08, 1, 1, 0b01010100, 0, 1, 0, 0b11], 'ZSTD_OFFSET'],
    ] as const)('a block with %s is refused', (_, content, code) => {
      expect(refused(framed(zstdBlock(2, content.length, bytes(...content), true)))).toEqual({ code })
    })
  })

  test('a bomb ends at the limit', () => {
    const blocks = concat([...Array.from({ length: 200 }, () => zstdBlock(1, 0x20000, bytes(0))), raw('', true)])
    const bomb = framed(blocks, bytes(0x00, 0x50))
    let most = 0
    const decoder = unzstd({ limit: 1_000_000 })
    expect(() => {
      for (const view of decoder.write(bomb)) most += view.length
    }).toThrow(expect.objectContaining({ code: 'OUTPUT_LIMIT' }))
    decoder.free()
    expect(most).toBeLessThanOrEqual(1_000_000)
    expect(decode(unzstd({ limit: 200 * 0x20000 }), [bomb]).length).toBe(200 * 0x20000)
  })

  test('a decoder that had a wide window leaves nothing to the next', () => {
    for (const { content, compressed } of SAMPLED) {
      decode(unzstd(), [framed(raw('abc', true), bytes(0x00, 17 << 3))])
      expect(same(decode(unzstd(), [compressed]), content)).toBe(true)
    }
  })
}
