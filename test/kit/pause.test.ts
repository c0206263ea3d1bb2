import { expect, test } from 'vitest'
import { jittered, pause, pauseSync } from '../../functions/kit/pause.ts'

test('a pause lasts, and the signal ends it without an error', async () => {
  const begun = performance.now()
  await pause(20)
  // Timers may fire up to a millisecond early.
  expect(performance.now() - begun).toBeGreaterThanOrEqual(19)
  await pause(60_000, AbortSignal.timeout(5))
  await pause(60_000, AbortSignal.abort())
  expect(performance.now() - begun).toBeLessThan(30_000)
})

test('a pause longer than a timer takes does not end at once', async () => {
  const ended = pause(2 ** 40, AbortSignal.timeout(50)).then(() => performance.now())
  const begun = performance.now()
  expect((await ended) - begun).toBeGreaterThan(30)
})

test('a synchronous pause lasts', () => {
  const begun = performance.now()
  pauseSync(10)
  expect(performance.now() - begun).toBeGreaterThanOrEqual(9)
})

test('jitter makes waits differ, by no more than its share', () => {
  const waits = Array.from({ length: 100 }, () => jittered(1000, 0.5))
  expect(new Set(waits).size).toBeGreaterThan(10)
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(500)
  expect(Math.max(...waits)).toBeLessThanOrEqual(1500)
})
