import { expect, test } from 'vitest'
import { LayercastError } from '../../functions/errors.ts'
import { retry } from '../../functions/kit/retry.ts'
import type { UnpackEvent } from '../../functions/runner/unpack/types.ts'

const away = () => new LayercastError('CONTAINERD_UNREACHABLE', 'no answer')

test('what passes is tried again with growing waits, and told', async () => {
  const events: UnpackEvent[] = []
  let tries = 0
  const work = async () => {
    if (++tries < 3) throw away()
    return 'done'
  }
  expect(await retry(work, { what: 'ask', emit: (event) => events.push(event) })).toBe('done')
  const waits = events.map((event) => (event.type === 'retry' ? event.waitMs : 0))
  expect(waits).toHaveLength(2)
  expect(waits[1]).toBeGreaterThan(waits[0] ?? 0)
})

test('what does not pass is not tried again; what stays away is given up', async () => {
  for (const [error, expected] of [
    [new LayercastError('CONTAINERD_FAILED', 'disk full'), 1],
    [new LayercastError('CONTAINERD_FAILED', 'proxy plugin away', { detail: { grpc: 'Unavailable' } }), 2],
    [new Error('a bug'), 1],
    [away(), 2],
  ] as const) {
    let tries = 0
    const work = () => {
      tries++
      return Promise.reject(error)
    }
    await expect(retry(work, { what: 'ask', attempts: 2 })).rejects.toBe(error)
    expect(tries).toBe(expected)
  }
})

test('an abort ends the waiting at once', async () => {
  const stop = new AbortController()
  const running = retry(() => Promise.reject(away()), {
    what: 'ask',
    signal: stop.signal,
    attempts: 100,
    emit: () => setTimeout(() => stop.abort(), 5),
  })
  // Waited out, a hundred attempts would take longer than any test may.
  await expect(running).rejects.toMatchObject({ code: 'ABORTED' })
})
