import { beforeEach, expect, test } from 'vitest'
import fc from 'fast-check'
import { env } from 'cloudflare:workers'
import { keepText, readText, splitText } from '../../functions/api/store/texts.ts'
import { newId } from '../../functions/api/store/id.ts'
import { startApi } from './support.ts'

beforeEach(async () => {
  await startApi()
})

test('parts of a text join to it, are small enough, and halve no letter', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.integer({ min: 2, max: 9 }), (text, size) => {
      const parts = splitText(text, size)
      expect(parts.join('')).toBe(text)
      for (const part of parts) {
        expect(part.length).toBeLessThanOrEqual(size)
        expect(part.isWellFormed()).toBe(true)
      }
    }),
  )
})

test.each([
  ['nothing', ''],
  ['a byte order mark', '\uFEFF{}'],
  ['letters of four bytes around where parts end', `${'x'.repeat(512 * 1024 - 1)}${'𝄞'.repeat(10)}`],
])('%s comes back byte for byte', async (_, text) => {
  const bytes = new TextEncoder().encode(text)
  await env.DB.batch(keepText(env.DB, 'default', 'd', bytes))
  expect(await readText(env.DB, 'default', 'd')).toEqual(bytes)
})

test('what is not UTF-8 is not kept as something else', () => {
  expect(() => keepText(env.DB, 'default', 'd', new Uint8Array([0xc3, 0x28]))).toThrow(TypeError)
})

test('ids sort by when they were made', () => {
  const at = fc.integer({ min: 0, max: 2 ** 48 - 1 })
  fc.assert(
    fc.property(at, at, (a, b) => {
      const [one, two] = [newId(a), newId(b)]
      expect(one).toMatch(/^[a-z0-9]{26}$/)
      expect(a === b || one < two === a < b).toBe(true)
    }),
  )
})
