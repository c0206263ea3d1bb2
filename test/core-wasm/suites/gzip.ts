/** Tests of `gunzip`, for Node and for workerd. */
import fc from 'fast-check'
import { gunzipSync, gzipSync } from 'fflate'
import { describe, expect, test } from 'vitest'
import { gunzip } from '../../../core-wasm/core.ts'
import {
  bytes,
  concat,
  crc32,
  cut,
  decode,
  generator,
  gzipMember,
  packed,
  prose,
  same,
  utf8,
  verdict,
} from './support.ts'

const text = prose(20_000)

/** Runs in Node and in workerd alike. */
export function gzipSuite(): void {
  describe('RFC 1952: members', () => {
    test.each([
      ['no field', {}],
      ['FEXTRA', { extra: bytes(65, 112, 2, 0, 1, 2) }],
      ['an empty FEXTRA', { extra: bytes() }],
      ['FNAME', { name: 'layer.tar' }],
      ['FCOMMENT', { comment: 'a comment' }],
      ['FHCRC', { headerCRC: true }],
      ['every field', { extra: new Uint8Array(65_535).fill(7), name: 'n'.repeat(5000), comment: '', headerCRC: true }],
    ])('a header with %s, in pieces of every size', (_, fields) => {
      const data = utf8('what a member holds')
      const member = gzipMember({ data, ...fields })
      for (const size of [1, 2, 3, 11, 1000, member.length]) expect(decode(gunzip(), cut(member, [size]))).toEqual(data)
    })

    test('members one after another are one stream, and their matches do not reach into each other', () => {
      const members = [text, new Uint8Array(), utf8('a'), text].map((data) => gzipMember({ data }))
      expect(decode(gunzip(), [concat(members)])).toEqual(concat([text, utf8('a'), text]))
      // A match of distance 1 as a member's first symbol: fixed block, length 3, distance 1, end of block.
      const reaching = gzipMember({ deflated: bytes(0x03, 0x02, 0x00), crc: 0, size: 0 })
      expect(verdict(gunzip(), [reaching])).toEqual({ code: 'DEFLATE_DISTANCE' })
      expect(verdict(gunzip(), [concat([gzipMember({ data: text }), reaching])])).toEqual({ code: 'DEFLATE_DISTANCE' })
    })

    test.each([1, 511, 512, 100_000])('%d zero bytes of padding are accepted', (count) => {
      const data = concat([gzipMember({ data: text }), new Uint8Array(count)])
      expect(decode(gunzip(), [data])).toEqual(text)
      expect(decode(gunzip(), cut(data, [777]))).toEqual(text)
    })

    test('what is no member is refused, by name', () => {
      const data = utf8('abc')
      const member = gzipMember({ data })
      expect(verdict(gunzip(), [utf8('PK')])).toEqual({ code: 'GZIP_MAGIC' })
      expect(verdict(gunzip(), [bytes(0x1f, 0x8c)])).toEqual({ code: 'GZIP_MAGIC' })
      expect(verdict(gunzip(), [gzipMember({ data, method: 7 })])).toEqual({ code: 'GZIP_METHOD' })
      for (const reserved of [0x20, 0x40, 0x80]) {
        expect(verdict(gunzip(), [gzipMember({ data, reserved })])).toEqual({ code: 'GZIP_FLAGS' })
      }
      expect(verdict(gunzip(), [gzipMember({ data, name: 'x', headerCRC: 0x1234 })])).toEqual({
        code: 'GZIP_HEADER_CRC',
      })
      expect(verdict(gunzip(), [gzipMember({ data, crc: crc32(data) ^ 1 })])).toEqual({ code: 'GZIP_CRC' })
      expect(verdict(gunzip(), [gzipMember({ data, size: 4 })])).toEqual({ code: 'GZIP_SIZE' })
      for (const garbage of [utf8('x'), bytes(0, 0, 1), bytes(0x1f, 0), bytes(0, 0x1f, 0x8b)]) {
        expect(verdict(gunzip(), [member, garbage])).toEqual({ code: 'GZIP_TRAILING_GARBAGE' })
      }
    })

    test('truncation is refused at every byte', () => {
      const data = prose(3000, 5)
      const member = gzipMember({ data, extra: bytes(1, 2, 0, 0), name: 'x', comment: 'y', headerCRC: true })
      const verdicts = Array.from(member, (_, length) => verdict(gunzip(), [member.subarray(0, length)]))
      expect(verdicts).toEqual(verdicts.map(() => ({ code: 'GZIP_TRUNCATED' })))
    })
  })

  describe('RFC 1951: blocks', () => {
    const refused = (deflated: Uint8Array): unknown => verdict(gunzip(), [gzipMember({ deflated, crc: 0, size: 0 })])

    test('stored blocks, of every length about the limits', () => {
      for (const length of [0, 1, 65_534, 65_535]) {
        const data = new Uint8Array(length).fill(9)
        const deflated = concat([bytes(1, length & 255, length >> 8, ~length & 255, (~length >> 8) & 255), data])
        expect(decode(gunzip(), [gzipMember({ data, deflated })])).toEqual(data)
      }
    })

    test('corrupt blocks are refused, by name', () => {
      expect(refused(bytes(0x07))).toEqual({ code: 'DEFLATE_BLOCK_TYPE' })
      expect(refused(bytes(0x01, 1, 0, 0, 0))).toEqual({ code: 'DEFLATE_STORED_LENGTH' })
      // 287 literal and length codes; 31 distance codes; a code of code lengths that is all zero.
      expect(refused(bytes(0xf5, 0, 0, 0, 0, 0, 0, 0))).toEqual({ code: 'DEFLATE_CODE_LENGTHS' })
      expect(refused(bytes(0x05, 0x1e, 0, 0, 0, 0, 0, 0))).toEqual({ code: 'DEFLATE_CODE_LENGTHS' })
      expect(refused(bytes(0x05, 0, 0, 0, 0, 0, 0, 0))).toEqual({ code: 'DEFLATE_CODE_LENGTHS' })
      // Last block, fixed codes; then symbol 286, or the literal a, length 3 and the distance code 30.
      expect(refused(packed('1 10 11000110'))).toEqual({ code: 'DEFLATE_SYMBOL' })
      expect(refused(packed('1 10 10010001 0000001 11110'))).toEqual({ code: 'DEFLATE_SYMBOL' })
      // Far from the end of the input another loop decodes.
      expect(refused(concat([packed('1 10 11000110'), new Uint8Array(2000)]))).toEqual({ code: 'DEFLATE_SYMBOL' })
      expect(refused(concat([packed('1 10 10010001 0000001 11110'), new Uint8Array(2000)]))).toEqual({
        code: 'DEFLATE_SYMBOL',
      })
    })

    test('every distance below 40 and every length, which the vector copies treat apart', () => {
      for (let distance = 1; distance < 40; distance++) {
        const period = Uint8Array.from({ length: distance }, (_, i) => (i * 7 + 1) & 255)
        const data = concat(
          Array.from({ length: 40 }, (_, i) =>
            Uint8Array.from({ length: 3 + i * 7 }, (__, k) => period[k % distance] ?? 0),
          ),
        )
        expect(decode(gunzip(), [gzipSync(data)])).toEqual(data)
      }
    })
  })

  describe('streams', () => {
    test('the same as fflate for any data, however it is cut', () => {
      fc.assert(
        fc.property(
          fc.oneof(
            fc.uint8Array({ maxLength: 5000 }),
            fc.integer({ min: 0, max: 9 }).map((seed) => prose(60_000, seed)),
          ),
          fc.constantFrom(0, 1, 6, 9),
          fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 4 }),
          (data, level, sizes) => {
            const compressed = gzipSync(data, { level: level as 6 })
            const decoded = decode(gunzip(), cut(compressed, sizes))
            expect(decoded).toEqual(gunzipSync(compressed))
            expect(decoded).toEqual(data)
          },
        ),
        { numRuns: 60 },
      )
    })

    test('output larger than the window', () => {
      const data = prose(3_000_000, 3)
      expect(same(decode(gunzip(), cut(gzipSync(data), [65_536])), data)).toBe(true)
    })

    // Codes then end within bytes at every move of the input to the front of its buffer (1.5 MB in half a megabyte).
    test('input larger than its buffer, of codes that are no whole bytes', () => {
      const next = generator(4)
      const data = Uint8Array.from({ length: 2_000_000 }, () => next() % 90)
      expect(same(decode(gunzip(), cut(gzipSync(data), [65_536])), data)).toBe(true)
    })

    test('decoders at once do not meet, and a freed one is used again', () => {
      for (let round = 0; round < 3; round++) {
        const inputs = [prose(400_000, 1), prose(300_000, 2), new Uint8Array(500_000)]
        const decoders = inputs.map(() => gunzip())
        const iterators = inputs.map((data) => cut(gzipSync(data), [5000]))
        const outputs: Uint8Array[][] = inputs.map(() => [])
        for (let open = inputs.length; open > 0;) {
          open = 0
          for (const [i, decoder] of decoders.entries()) {
            const { value, done } = iterators[i]?.next() ?? { value: undefined, done: true }
            if (done !== true && value !== undefined) {
              open++
              for (const view of decoder.write(value)) outputs[i]?.push(view.slice())
            }
          }
        }
        for (const [i, decoder] of decoders.entries()) {
          for (const view of decoder.end()) outputs[i]?.push(view.slice())
          decoder.free()
          expect(same(concat(outputs[i] ?? []), inputs[i] ?? bytes())).toBe(true)
        }
      }
    })

    test('a bomb ends at the limit', () => {
      const bomb = gzipSync(new Uint8Array(20_000_000))
      expect(bomb.length).toBeLessThan(30_000)
      let most = 0
      const decoder = gunzip({ limit: 1_000_000 })
      expect(() => {
        for (const view of decoder.write(bomb)) most += view.length
      }).toThrow(expect.objectContaining({ name: 'CoreError', code: 'OUTPUT_LIMIT' }))
      decoder.free()
      expect(most).toBeLessThanOrEqual(1_000_000)
      expect(verdict(gunzip({ limit: text.length }), [gzipSync(text)])).toEqual({ bytes: text })
      expect(verdict(gunzip({ limit: text.length - 1 }), [gzipSync(text)])).toEqual({ code: 'OUTPUT_LIMIT' })
    })

    test('wrong use is said, not guessed at', () => {
      const big = gzipSync(prose(2_000_000))
      const left = gunzip()
      const [first] = left.write(big)
      expect(first?.length).toBeGreaterThan(0)
      expect(() => left.write(big)).toThrow(expect.objectContaining({ code: 'DECODER_BUSY' }))
      left.free()
      left.free()
      expect(() => left.end()).toThrow(expect.objectContaining({ code: 'DECODER_CLOSED' }))

      const failed = gunzip()
      expect(() => [...failed.write(utf8('not gzip at all'))]).toThrow(expect.objectContaining({ code: 'GZIP_MAGIC' }))
      expect(() => [...failed.write(big)]).toThrow(expect.objectContaining({ code: 'DECODER_CLOSED' }))
      failed.free()

      const ended = gunzip()
      for (const _ of ended.write(gzipSync(text)));
      for (const _ of ended.end());
      expect(() => ended.write(big)).toThrow(expect.objectContaining({ code: 'DECODER_CLOSED' }))
      ended.free()
    })
  })
}
