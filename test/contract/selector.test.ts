import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatSelector, parseSelector } from '../../functions/contract/selector.ts'

const key = fc.stringMatching(/^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,8}[A-Za-z0-9])?$/)
const value = fc.stringMatching(/^[A-Za-z0-9._/-]{0,9}$/)

describe('a selector', () => {
  test('is read back as what was written, in any order of its parts', () => {
    fc.assert(
      fc.property(fc.dictionary(key, value, { maxKeys: 5 }), fc.boolean(), (wanted, turned) => {
        const selector = { ...wanted }
        const parts = formatSelector(selector).split(',')
        const text = (turned ? parts.toReversed() : parts).join(',')
        expect(parseSelector(text)).toEqual(selector)
        expect(formatSelector(parseSelector(text))).toBe(formatSelector(selector))
      }),
    )
  })

  test('of one label with no value asks for that label with no value', () => {
    expect(parseSelector('pool=')).toEqual({ pool: '' })
  })

  test('splits at the first equals sign only, so that a value with another is no label', () => {
    expect(() => parseSelector('a=b=c')).toThrow(expect.objectContaining({ code: 'SELECTOR_INVALID' }))
  })

  test.each([
    '',
    ',',
    'a',
    '=b',
    'a=b,',
    'a=b,,c=d',
    'a=b,a=c',
    'a=b,*',
    '__proto__=x',
    'a=b,__proto__=x',
    '* ',
    ' a=b',
    'a =b',
    'a=b c',
    'a!=b',
    '-a=b',
  ])('%j is refused, and quoted', (text) => {
    const refused = expect.objectContaining({
      code: 'SELECTOR_INVALID',
      exit: 2,
      message: expect.stringContaining(JSON.stringify(text)) as unknown,
    })
    expect(() => parseSelector(text)).toThrow(refused as unknown as Error)
  })

  test("with a key of an object's own is a label like any other", () => {
    expect(Object.entries(parseSelector('constructor=x'))).toEqual([['constructor', 'x']])
  })
})
