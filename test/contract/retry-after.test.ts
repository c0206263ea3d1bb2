import { describe, expect, test, vi } from 'vitest'
import { retryAfterMs } from '../../functions/contract/retry-after.ts'

const of = (after: string, date?: string) =>
  retryAfterMs(new Headers({ 'retry-after': after, ...(date === undefined ? {} : { date }) }))

describe('Retry-After', () => {
  test.each([
    ['0', 0],
    ['120', 120_000],
    [' 7 ', 7000],
    ['', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['1e9', undefined],
    ['soon', undefined],
    ['2026-11-26', undefined],
    ['Thu, 99 Nov 2026 21:00:00 GMT', undefined],
  ])('%j is %j ms', (text, ms) => {
    expect(of(text)).toBe(ms)
  })

  test('as a date is against the date of the answer, whatever our own clock says', () => {
    const wall = vi.spyOn(Date, 'now').mockReturnValue(Date.parse('Sat, 28 Nov 2026 21:00:00 GMT'))
    expect(of('Thu, 26 Nov 2026 21:01:30 GMT', 'Thu, 26 Nov 2026 21:00:00 GMT')).toBe(90_000)
    expect(of('Thu, 26 Nov 2026 20:00:00 GMT', 'Thu, 26 Nov 2026 21:00:00 GMT')).toBe(0)
    expect(of('Sat, 28 Nov 2026 21:00:10 GMT')).toBe(10_000)
    wall.mockRestore()
  })

  test('is absent where there is no such header', () => {
    expect(retryAfterMs(new Headers())).toBeUndefined()
  })
})
