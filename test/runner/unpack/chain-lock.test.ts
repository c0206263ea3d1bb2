import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Digest } from '../../../functions/image/digest.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { withChainLock } from '../../../functions/runner/unpack/chain-lock.ts'

// The lock goes by the identity of the backend alone.
const newBackend = () => ({}) as Backend
const chain = (n: number) => `sha256:${String(n).padStart(64, '0')}` as Digest
const never = new AbortController().signal

test('no two work on one chain ID at once, others are not held up, and everyone has a turn', async () => {
  const task = fc.record({ chain: fc.nat({ max: 2 }), snapshotter: fc.constantFrom('a', 'b'), give: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(task, { maxLength: 12 }), async (tasks) => {
      const backend = newBackend()
      const inside = new Set<string>()
      let ran = 0
      await Promise.all(
        tasks.map(async (each) => {
          const key = `${each.snapshotter} ${each.chain}`
          const stop = new AbortController()
          const run = withChainLock(backend, each.snapshotter, chain(each.chain), stop.signal, async () => {
            expect(inside.has(key)).toBe(false)
            inside.add(key)
            await sleep(0)
            inside.delete(key)
            ran++
          })
          // Some give up while they wait, or while they work; neither must let two in.
          if (each.give) stop.abort()
          const ended = await run.catch((error: { code?: string }) => error.code)
          if (ended === 'ABORTED') ran++
        }),
      )
      expect(ran).toBe(tasks.length)
    }),
  )
})

test('whoever gives up waiting does not open the way past the one who works', async () => {
  const backend = newBackend()
  const first = Promise.withResolvers<void>()
  const order: string[] = []
  const one = withChainLock(backend, 's', chain(1), never, async () => {
    await first.promise
    order.push('one')
  })
  const stop = new AbortController()
  const two = withChainLock(backend, 's', chain(1), stop.signal, async () => order.push('two'))
  stop.abort()
  await expect(two).rejects.toMatchObject({ code: 'ABORTED' })
  const three = withChainLock(backend, 's', chain(1), never, async (waited) => order.push(`three ${waited}`))
  await sleep(10)
  expect(order).toEqual([])
  first.resolve()
  await Promise.all([one, three])
  expect(order).toEqual(['one', 'three true'])
})

test('a failure lets the next one in, and another backend is another lock', async () => {
  const backend = newBackend()
  const bad = withChainLock(backend, 's', chain(1), never, () => Promise.reject(new Error('no')))
  const next = withChainLock(backend, 's', chain(1), never, async (waited) => waited)
  await expect(bad).rejects.toThrow('no')
  expect(await next).toBe(true)
  const hold = Promise.withResolvers<void>()
  const held = withChainLock(backend, 's', chain(1), never, () => hold.promise)
  expect(await withChainLock(newBackend(), 's', chain(1), never, async (waited) => waited)).toBe(false)
  hold.resolve()
  await held
})
