import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newId } from '../../functions/api/id.ts'

test('ids sort by when they were made', () => {
  const at = fc.integer({ min: 0, max: 2 ** 48 - 1 })
  const wrong = fc.sample(fc.tuple(at, at), 500).filter(([a, b]) => {
    const [one, two] = [newId(a), newId(b)]
    return !/^[a-z0-9]{26}$/.test(one) || (a !== b && one < two !== a < b)
  })
  expect(wrong).toEqual([])
})
