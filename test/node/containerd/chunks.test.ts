import fc from 'fast-check'
import { expect, test } from 'vitest'
import { rechunk } from '../../../functions/node/containerd/chunks.ts'

async function* from(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function* failing(): AsyncGenerator<Uint8Array> {
  yield Uint8Array.of(1, 2, 3)
  throw new TypeError('broken')
}

test('the same bytes come in full chunks, only the last one shorter, none empty', async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 40 }))
  await fc.assert(
    fc.asyncProperty(chunks, fc.integer({ min: 1, max: 17 }), async (input, size) => {
      const output: Buffer[] = []
      for await (const chunk of rechunk(from(input), size)) output.push(Buffer.from(chunk))
      expect(Buffer.concat(output)).toEqual(Buffer.concat(input))
      expect(output.slice(0, -1).every(({ length }) => length === size)).toBe(true)
      expect(output.every(({ length }) => length > 0 && length <= size)).toBe(true)
    }),
  )
})

test('an error of the data comes through, after what came before it', async () => {
  const chunks = rechunk(failing(), 2)
  expect((await chunks.next()).value).toEqual(Uint8Array.of(1, 2))
  await expect(chunks.next()).rejects.toThrow('broken')
})
