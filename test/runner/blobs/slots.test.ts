import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Slots } from '../../../functions/runner/blobs/slots.ts'

test('no more than so many run at once, in the order in which they asked, whether they fail or not', async () => {
  const task = fc.record({ ms: fc.nat({ max: 3 }), fails: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(task, { maxLength: 10 }), async (count, tasks) => {
      const slots = new Slots(count)
      const begun: number[] = []
      let running = 0
      let most = 0
      const ends = await Promise.allSettled(
        tasks.map(({ ms, fails }, index) =>
          slots.run(async () => {
            begun.push(index)
            most = Math.max(most, ++running)
            await sleep(ms)
            running--
            if (fails) throw new Error(`task ${index}`)
            return index
          }),
        ),
      )
      expect(begun).toEqual(tasks.map((_, index) => index))
      expect(most).toBe(Math.min(count, tasks.length))
      expect(ends.map(({ status }) => status === 'rejected')).toEqual(tasks.map(({ fails }) => fails))
    }),
    { numRuns: 40 },
  )
})
