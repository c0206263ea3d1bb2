import fc from 'fast-check'
import { expect, test } from 'vitest'
import { quote, quoteSome } from '../../functions/image/quote.ts'

test('what is shown is short, well formed and without control characters, whatever the value', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      const shown = quote(text)
      expect(shown.isWellFormed()).toBe(true)
      expect(shown.length).toBeLessThan(110)
      expect([...shown].filter((char) => char < ' ' || (char >= '\x7F' && char <= '\x9F'))).toEqual([])
    }),
    { examples: [['😀'.repeat(100)], [`a${'😀'.repeat(100)}`]] },
  )
})

test('of many values the first few are shown', () => {
  expect(quoteSome(['a', 'b', 'c'])).toBe('"a", "b", "c"')
  expect(quoteSome(['a', 'b', 'c', 'd', 'e'])).toBe('"a", "b", "c" and 2 more')
})

test('what would move the cursor or turn the text round is escaped', () => {
  expect(quote('a\u001B[2Jb')).toBe(String.raw`"a\u001b[2Jb"`)
  expect(quote('a\u009B2Jb\u202Ec')).toBe(String.raw`"a\u009b2Jb\u202ec"`)
})
