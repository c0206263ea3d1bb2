/** Tables and lists of fields. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fields, table } from '../../../functions/cli/program/table.ts'

describe('a table', () => {
  test('is aligned and ends its lines without blanks', () => {
    const text = table(
      [
        { name: 'a', size: '1 B' },
        { name: 'longer', size: '' },
      ],
      [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'SIZE', value: ({ size }) => size, align: 'right' },
      ],
    )
    expect(text).toBe('NAME    SIZE\na        1 B\nlonger     -\n')
  })

  test('keeps a row on its line, whatever is in it', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 5 }), (values) => {
        const text = table(values, [{ title: 'VALUE', value: (value) => value }])
        expect(text.split('\n')).toHaveLength(values.length + 2)
      }),
    )
  })

  test('fields leave out what there is not', () => {
    expect(
      fields([
        ['a', '1'],
        ['long', undefined],
        ['bcd', '2'],
      ]),
    ).toBe('a    1\nbcd  2\n')
  })
})
