import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseJSON } from '../../functions/image/json.ts'
import { canonicalBytes, canonicalize } from '../../functions/plan/canonical.ts'
import { thrown } from '../image/thrown.ts'

describe('RFC 8785', () => {
  test('section 3.2.2: literals, numbers and strings', () => {
    const value = JSON.parse(
      String.raw`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],` +
        String.raw`"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`,
    )
    expect(canonicalize(value)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],` +
        String.raw`"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    )
  })

  test('section 3.2.3: keys in the order of their UTF-16 code units', () => {
    const keys = ['\u20ac', '\r', '\ufb33', '1', '\ud83d\ude00', '\u0080', '\u00f6']
    const sorted = JSON.parse(canonicalize(Object.fromEntries(keys.map((key, at) => [key, at]))), (_, value) => value)
    const order = canonicalize(Object.fromEntries(keys.map((key, at) => [`k${key}`, at]))).match(/(?<=:)\d/g)
    expect(order?.map(Number)).toEqual([1, 3, 5, 6, 0, 4, 2])
    expect(sorted['\ufb33']).toBe(2)
  })

  test.each([
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['8000000000000001', '-5e-324'],
    ['7fefffffffffffff', '1.7976931348623157e+308'],
    ['ffefffffffffffff', '-1.7976931348623157e+308'],
    ['4340000000000000', '9007199254740992'],
    ['c340000000000000', '-9007199254740992'],
    ['4430000000000000', '295147905179352830000'],
    ['44b52d02c7e14af5', '9.999999999999997e+22'],
    ['44b52d02c7e14af6', '1e+23'],
    ['44b52d02c7e14af7', '1.0000000000000001e+23'],
    ['444b1ae4d6e2ef4e', '999999999999999700000'],
    ['444b1ae4d6e2ef4f', '999999999999999900000'],
    ['444b1ae4d6e2ef50', '1e+21'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['41b3de4355555553', '333333333.3333332'],
    ['41b3de4355555557', '333333333.33333343'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
    ['43143ff3c1cb0959', '1424953923781206.2'],
  ])('appendix B: the double %s is %s', (bits, text) => {
    const double = new DataView(Uint8Array.from(bits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer)
    expect(canonicalize(double.getFloat64(0))).toBe(text)
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, '\ud800', { '\udc00': 1 }, [() => 1], 1n, Symbol('x'), undefined])(
    'what JSON cannot hold is refused: %s',
    (value) => expect(thrown(() => canonicalize(value)).code).toBe('JSON_INVALID'),
  )
})

test('the round trip gives the value again, and one text whatever the order of the keys', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const text = canonicalize(value)
      const again = parseJSON(canonicalBytes(value))
      expect(canonicalize(again)).toBe(text)
      expect(JSON.stringify(JSON.parse(text))).toHaveLength(text.length)
      expect(canonicalize(reversed(value))).toBe(text)
    }),
  )
})

test('what is undefined is left out', () => {
  expect(canonicalize({ b: undefined, a: 1 })).toBe('{"a":1}')
})

function reversed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(reversed)
  const entries = Object.entries(value).toReversed()
  return Object.fromEntries(entries.map(([key, member]) => [key, reversed(member)]))
}
