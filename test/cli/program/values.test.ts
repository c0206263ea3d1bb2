/** Values of options. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { keyValues, port, seconds, wholeNumber } from '../../../functions/cli/program/values.ts'
import { LayercastError } from '../../../functions/errors.ts'

describe('values of options', () => {
  test.each([
    ['90s', 90],
    ['30m', 1800],
    ['12h', 43_200],
    ['7d', 604_800],
  ])('%s is %d seconds', (text, expected) => expect(seconds('--ttl', text)).toBe(expected))

  test.each(['', '0s', '-1s', '1', '1w', '1.5h', '1h30m', ' 1h', '9999999999s'])('%j is no time', (text) => {
    expect(() => seconds('--ttl', text)).toThrow(LayercastError)
  })

  test.each(['0', '', '-1', '1e3', '0x1', ' 1', '１'])('%j is no whole number', (text) => {
    expect(() => wholeNumber('--max-uses', text)).toThrow("--max-uses cannot be '")
  })

  test.each(['65536', '-1', '', 'http', '123456'])('%j is no port', (text) => {
    expect(() => port('--port', text)).toThrow('--port cannot be')
  })

  test('ports go from 0 to 65535', () => {
    expect([port('--port', '0'), port('--port', '65535')]).toEqual([0, 65_535])
  })

  test('labels are what was written, whatever the value holds', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/u), fc.string()), (labels) => {
        const texts = Object.entries(labels).map(([key, value]) => `${key}=${value}`)
        expect({ ...keyValues('--label', texts) }).toEqual({ ...labels })
      }),
    )
  })

  test.each([[['a']], [['=b']], [['']], [['a=1', 'a=2']]])('%j are no labels', (texts) => {
    expect(() => keyValues('--label', texts)).toThrow(LayercastError)
  })
})
