import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { beforeEach, expect, test } from 'vitest'
import { keepText, readText, splitText } from '../../functions/api/store/texts.ts'
import { startApi } from './support.ts'

beforeEach(async () => {
  await startApi()
})

test('parts of a text join to it, are small enough, and halve no letter', () => {
  const text = fc.string({ unit: 'binary', maxLength: 60 })
  const wrong = fc.sample(fc.tuple(text, fc.integer({ min: 2, max: 9 })), 1000).filter(([whole, size]) => {
    const parts = splitText(whole, size)
    return parts.join('') !== whole || parts.some((part) => part.length > size || !part.isWellFormed())
  })
  expect(wrong).toEqual([])
})

test.each([
  ['nothing', ''],
  ['a byte order mark', '\uFEFF{}'],
  ['letters of four bytes around where parts end', `${'x'.repeat(512 * 1024 - 1)}${'𝄞'.repeat(10)}`],
])('%s comes back byte for byte', async (_, text) => {
  const bytes = new TextEncoder().encode(text)
  const bound = { db: env.DB, fleet: 'default' }
  await env.DB.batch(keepText(bound, 'd', bytes))
  expect(await readText(bound, 'd')).toEqual(bytes)
})

test('what is not UTF-8 is not kept as something else', () => {
  expect(() => keepText({ db: env.DB, fleet: 'default' }, 'd', new Uint8Array([0xc3, 0x28]))).toThrow(TypeError)
})
