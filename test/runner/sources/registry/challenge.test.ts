import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseChallenges } from '../../../../functions/runner/sources/registry/challenge.ts'

const plain = (field: string): unknown =>
  parseChallenges(field).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)])

test.each<[string, unknown]>([
  [
    'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
    [
      [
        'bearer',
        { realm: 'https://auth.example/token', service: 'registry.example', scope: 'repository:a/b:pull,push' },
      ],
    ],
  ],
  ['Basic realm="x"', [['basic', { realm: 'x' }]]],
  ['BASIC Realm=x', [['basic', { realm: 'x' }]]],
  ['Negotiate', [['negotiate', {}]]],
  [
    'Negotiate abc==, Basic realm="x"',
    [
      ['negotiate', {}],
      ['basic', { realm: 'x' }],
    ],
  ],
  [
    'Basic realm="a, Bearer realm=b", Bearer realm = "c"',
    [
      ['basic', { realm: 'a, Bearer realm=b' }],
      ['bearer', { realm: 'c' }],
    ],
  ],
  ['Basic realm="a \\"quoted\\" \\\\ part"', [['basic', { realm: 'a "quoted" \\ part' }]]],
  [', ,Basic realm="x", ,charset="UTF-8"', [['basic', { realm: 'x', charset: 'UTF-8' }]]],
  ['', []],
  ['"', []],
  ['Bearer realm="never ends', [['bearer', {}]]],
])('%s is read as RFC 9110 has it', (field, challenges) => {
  expect(plain(field)).toEqual(challenges)
})

test('reading any field ends', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 2000, unit: fc.constantFrom(...'Bearer basic=",\\ \t-x/') }), (field) => {
      expect(Array.isArray(parseChallenges(field))).toBe(true)
    }),
  )
})
