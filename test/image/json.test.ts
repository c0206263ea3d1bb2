import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LayercastError } from '../../functions/errors.ts'
import { formatPath, parseJSON } from '../../functions/image/json.ts'
import { utf8 } from './bytes.ts'
import { thrown, tolerated } from './thrown.ts'

const parse = (text: string) => parseJSON(utf8(text))
const deep = (n: number) => '['.repeat(n) + ']'.repeat(n)

/** What the engine's own parser makes of it; undefined for what it refuses. */
function native(text: string): { value: unknown } {
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    if (error instanceof SyntaxError) return { value: undefined }
    throw error
  }
}

describe('agrees with JSON.parse', () => {
  test('on every value there is', () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: 'binary' }), (text) => {
        expect(parse(text)).toStrictEqual(JSON.parse(text))
      }),
      { numRuns: 500 },
    )
  })

  test('on documents with white space', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), fc.constantFrom(1, 4, '\t', '\r\n'), (value, space) => {
        const text = ` \n${JSON.stringify(value, undefined, space)}\t\r\n`
        expect(parse(text)).toStrictEqual(JSON.parse(text))
      }),
    )
  })

  test('on what is no JSON, after random damage', () => {
    const damaged = fc
      .tuple(fc.json(), fc.nat(), fc.nat(3), fc.stringMatching(/^[[\]{}",:\\0-9eE+.\-tfn\s]{0,3}$/))
      .map(([text, at, gone, put]) => text.slice(0, at % text.length) + put + text.slice((at % text.length) + gone))
    fc.assert(
      fc.property(damaged, (text) => {
        const ours = tolerated(() => parse(text))
        const theirs = native(text)
        // Ours is the stricter one: what it takes, the other takes, with the same value. Where a document ends, both say.
        const stricter = ours instanceof LayercastError && ours.code !== 'JSON_TRAILING_BYTES'
        expect(stricter ? theirs : { value: ours instanceof LayercastError ? undefined : ours }).toStrictEqual(theirs)
      }),
      { numRuns: 1000 },
    )
  })

  test.each(['0', '-0', '1e3', '1E+2', '-1.5e-7', '123456789012345678901234567890', '5e-324', '1e-400'])(
    'on the number %s',
    (text) => expect(parse(text)).toBe(JSON.parse(text)),
  )
})

describe('refuses', () => {
  test.each([
    ['', 'JSON_INVALID', 0],
    ['  ', 'JSON_INVALID', 2],
    ['{', 'JSON_INVALID', 1],
    ['{"a":1,}', 'JSON_INVALID', 7],
    ['{"a" 1}', 'JSON_INVALID', 5],
    ['{a:1}', 'JSON_INVALID', 1],
    ['[1,]', 'JSON_INVALID', 3],
    ['[1 2]', 'JSON_INVALID', 3],
    ['[', 'JSON_INVALID', 1],
    ['01', 'JSON_TRAILING_BYTES', 1],
    ['+1', 'JSON_INVALID', 0],
    ['.5', 'JSON_INVALID', 0],
    ['1.', 'JSON_TRAILING_BYTES', 1],
    ['-', 'JSON_INVALID', 0],
    ['1e999', 'JSON_INVALID', 0],
    ['NaN', 'JSON_INVALID', 0],
    ['tru', 'JSON_INVALID', 0],
    ["'a'", 'JSON_INVALID', 0],
    ['"a', 'JSON_INVALID', 0],
    ['"\\x41"', 'JSON_INVALID', 1],
    ['"\\u12g4"', 'JSON_INVALID', 1],
    ['"\\', 'JSON_INVALID', 1],
    ['"a\nb"', 'JSON_INVALID', 2],
    ['"\\ud800"', 'JSON_INVALID', 0],
    ['"\\udc00\\ud800"', 'JSON_INVALID', 0],
    ['\uFEFF{}', 'JSON_INVALID', 0],
    ['{} {}', 'JSON_TRAILING_BYTES', 3],
    ['{}\0', 'JSON_TRAILING_BYTES', 2],
    ['"ä" x', 'JSON_TRAILING_BYTES', 5],
    ['{"a":1,"a":1}', 'JSON_DUPLICATE_KEY', 7],
    ['{"a":1,"\\u0061":2}', 'JSON_DUPLICATE_KEY', 7],
    ['{"__proto__":1,"__proto__":2}', 'JSON_DUPLICATE_KEY', 15],
    ['// c\n{}', 'JSON_INVALID', 0],
  ])('%j', (text, code, offset) => {
    const error = thrown(() => parse(text))
    expect(error.code).toBe(code)
    expect(error.detail['offset']).toBe(offset)
    expect(error.message).toContain(`offset ${offset}`)
  })

  test('a key given twice, with the path that leads there', () => {
    const error = thrown(() => parse('{"layers":[{},{"a b":{"digest":1,"digest":2}}]}'))
    expect(error.code).toBe('JSON_DUPLICATE_KEY')
    expect(error.detail['path']).toBe('layers[1]["a b"].digest')
  })

  test.each([
    ['a lone continuation byte', [0x22, 0x80, 0x22], 1],
    ['an overlong slash', [0x22, 0xc0, 0xaf, 0x22], 1],
    ['a surrogate in UTF-8', [0x22, 0x61, 0xed, 0xa0, 0x80, 0x22], 3],
    ['a cut character at the end', [0x22, 0xe2, 0x82], 3],
    ['gzip', [0x1f, 0x8b, 0x08, 0x00], 1],
  ])('bytes that are not UTF-8: %s', (_, bytes, offset) => {
    const error = thrown(() => parseJSON(Uint8Array.from(bytes), { what: 'manifest' }))
    expect(error.code).toBe('JSON_INVALID')
    expect(error.message).toContain('manifest')
    expect(error.detail['offset']).toBe(offset)
    expect(error.cause).toBeDefined()
  })

  test('what is nested too deep, before the stack is gone', () => {
    expect(parse(deep(64))).toBeDefined()
    expect(thrown(() => parse(deep(65))).code).toBe('JSON_TOO_DEEP')
    expect(thrown(() => parse('{"a":'.repeat(500_000))).code).toBe('JSON_TOO_DEEP')
    expect(thrown(() => parseJSON(utf8('[[1]]'), { maxDepth: 1 })).code).toBe('JSON_TOO_DEEP')
  })

  test('what is too large, before it is read', () => {
    const error = thrown(() => parseJSON(new Uint8Array(4 * 1024 * 1024 + 1)))
    expect(error.code).toBe('DOCUMENT_TOO_LARGE')
    expect(error.status).toBe(413)
  })

  test('any bytes with an error of the family', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        (bytes) => void expect(tolerated(() => parseJSON(bytes))).toBeDefined(),
      ),
    )
  })
})

test('a key called __proto__ is a key like any other', () => {
  const value = parse('{"__proto__":{"polluted":true}}') as object
  expect(Object.keys(value)).toEqual(['__proto__'])
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
  expect('polluted' in value).toBe(false)
})

test('4 MiB of descriptors are read', () => {
  const one = JSON.stringify({ mediaType: 'x', digest: `sha256:${'a'.repeat(64)}`, size: 1 })
  const bytes = utf8(`[${Array.from({ length: 36_000 }, () => one).join(',')}]`)
  expect(bytes.length).toBeGreaterThan(3_500_000)
  expect(parseJSON(bytes)).toHaveLength(36_000)
})

test('paths read as people write them', () => {
  expect(formatPath([])).toBe('the document')
  expect(formatPath(['layers', 2, 'annotations', 'a.b/c'])).toBe('layers[2].annotations["a.b/c"]')
})
