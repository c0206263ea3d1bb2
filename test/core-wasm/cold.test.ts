/** Small gzip in a process that has not compiled the core yet: the host's gunzip decompresses it. */
import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { Decoder } from '../../core-wasm/core.ts'
import { concat, cut, decode, gzipMember, prose, utf8, verdict } from './suites/support.ts'

// Modules that are loaded anew stand for such a process.
type Core = typeof import('../../core-wasm/core.ts')
let core: Core
let compiled: () => boolean
beforeEach(async () => {
  vi.resetModules()
  core = await import('../../core-wasm/core.ts')
  compiled = (await import('../../core-wasm/instance.ts')).isCompiled
})

const text = prose(20_000)
const member = gzipMember({ data: text, name: 'layer.tar', headerCRC: true })

/** As `verdict`, whose CoreError is another's here. */
function codeOf(decoder: Decoder, data: Uint8Array): string | undefined {
  try {
    decode(decoder, [data])
  } catch (error) {
    if (error instanceof core.CoreError) return error.code
    throw error
  }
  return undefined
}

describe('gzip before the core is compiled', () => {
  test('small and whole, in pieces of every size, is decompressed without it', () => {
    for (const size of [1, 100, member.length]) expect(decode(core.gunzip(), cut(member, [size]))).toEqual(text)
    expect(decode(core.gunzip(), [concat([member, gzipMember({}), member])])).toEqual(concat([text, text]))
    expect(decode(core.gunzip(), [gzipMember({})])).toEqual(new Uint8Array())
    expect(compiled()).toBe(false)
  })

  test('the bytes of a piece are taken at once: it may be used again', () => {
    const decoder = core.gunzip()
    const piece = new Uint8Array(member)
    expect([...decoder.write(piece)]).toEqual([])
    piece.fill(0)
    expect(concat([...decoder.end()])).toEqual(text)
  })

  test('large data is the core’s', () => {
    const large = prose(300_000)
    expect(decode(core.gunzip(), cut(gzipMember({ data: large }), [10_000]))).toEqual(large)
    expect(compiled()).toBe(true)
  })

  test('what is wrong has the core’s code', () => {
    const wrong = new Uint8Array(member)
    wrong[wrong.length - 6] = (wrong[wrong.length - 6] ?? 0) ^ 1
    const cases: readonly (readonly [Uint8Array, string])[] = [
      [wrong, 'GZIP_CRC'],
      [member.subarray(0, -1), 'GZIP_TRUNCATED'],
      [new Uint8Array(), 'GZIP_TRUNCATED'],
      [utf8('PK'), 'GZIP_MAGIC'],
      [concat([member, utf8('x')]), 'GZIP_TRAILING_GARBAGE'],
      [concat([member, new Uint8Array(9), utf8('x')]), 'GZIP_TRAILING_GARBAGE'],
    ]
    for (const [data, code] of cases) expect(codeOf(core.gunzip(), data)).toBe(code)
  })

  test.each([
    ['small', 20_000],
    ['a bomb', 20_000_000],
  ])('%s beyond the limit ends there', (_, size) => {
    expect(codeOf(core.gunzip({ limit: 19_999 }), gzipMember({ data: new Uint8Array(size) }))).toBe('OUTPUT_LIMIT')
  })

  test('a bomb that is within the limit comes in pieces', () => {
    const sizes: number[] = []
    const decoder = core.gunzip()
    for (const view of decoder.write(gzipMember({ data: new Uint8Array(20_000_000) }))) sizes.push(view.length)
    for (const view of decoder.end()) sizes.push(view.length)
    expect(sizes.reduce((sum, size) => sum + size)).toBe(20_000_000)
    expect(Math.max(...sizes)).toBeLessThan(300_000)
  })

  test('after its end, or freed, a decoder is closed', () => {
    const ended = core.gunzip()
    for (const view of ended.write(member)) expect(view.length).toBeGreaterThan(0)
    expect(concat([...ended.end()])).toEqual(text)
    const freed = core.gunzip()
    freed.free()
    for (const decoder of [ended, freed]) {
      expect(() => [...decoder.write(member)]).toThrow(expect.objectContaining({ code: 'DECODER_CLOSED' }))
      expect(() => [...decoder.end()]).toThrow(expect.objectContaining({ code: 'DECODER_CLOSED' }))
    }
  })

  test('the verdict is that of a process that has compiled it', () => {
    const padded = concat([member, new Uint8Array(600)])
    expect(verdict(core.gunzip(), [padded])).toEqual({ bytes: text })
    expect(compiled()).toBe(true)
    expect(verdict(core.gunzip(), [padded])).toEqual({ bytes: text })
  })
})
