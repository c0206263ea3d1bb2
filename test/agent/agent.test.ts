import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Backoff } from '../../functions/agent/backoff.ts'
import { gatherNodeFacts } from '../../functions/agent/facts.ts'
import { Patience } from '../../functions/agent/patience.ts'
import { State } from '../../functions/agent/state.ts'
import { putFacts } from '../../functions/contract/nodes.ts'
import { LayercastError } from '../../functions/errors.ts'
import type { Backend } from '../../functions/node/ports.ts'
import { failure } from '../runner/unpack/support/failure.ts'
import { digestOf } from '../support/images/image.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-state-'))
})
afterEach(() => rm(directory, { recursive: true }))

describe("the agent's state", () => {
  const identity = { server: 'http://x', name: 'n', enrolmentKey: 'k'.repeat(43), id: 'a1', token: 'secret' }

  test('is what was kept, also after a restart, and for its owner alone', async () => {
    const path = join(directory, 'new', 'state')
    const state = await State.open(path)
    expect(await state.identity()).toBeUndefined()
    expect(await state.said('a1')).toEqual({ node: 'a1', reports: {} })
    await state.keepIdentity(identity)
    const assignment = { node: 'a1', etag: '"3"', generation: 3, plans: [] }
    await state.keepAssignment(assignment)
    const again = await State.open(path)
    expect(await again.identity()).toEqual(identity)
    expect(await again.assignment('a1')).toEqual(assignment)
    expect((await stat(join(path, 'node.json'))).mode & 0o777).toBe(0o600)
    expect((await stat(path)).mode & 0o777).toBe(0o700)
    expect((await readdir(path)).sort()).toEqual(['assignment.json', 'node.json', 'plans'])
  })

  test('that is damaged is named, with what to do about it', async () => {
    const state = await State.open(directory)
    for (const text of ['', '{', '{}', '{"server":1}', 'null']) {
      await writeFile(join(directory, 'node.json'), text)
      const error = await failure(state.identity())
      expect(error).toMatchObject({ code: 'DOCUMENT_FIELD_INVALID' })
      expect(error.message).toContain('node.json')
      expect(error.fix).toContain('join-token')
    }
  })

  test('of rounds that is damaged is as good as none: the server has it', async () => {
    const state = await State.open(directory)
    for (const text of ['', '{', '{}', '{"node":1}', 'null', '{"etag":"3","generation":3,"plans":[]}']) {
      for (const name of ['assignment.json', 'said.json']) await writeFile(join(directory, name), text)
      expect([await state.assignment('a1'), await state.said('a1')]).toEqual([undefined, { node: 'a1', reports: {} }])
    }
    await state.keepSaid({ node: 'a1', reports: {}, facts: '{}' })
    expect(await state.said('a1')).toMatchObject({ facts: '{}' })
  })

  test('of another enrolment is not taken for its own, and plans that are no longer assigned go', async () => {
    const state = await State.open(directory)
    await state.keepAssignment({ node: 'a1', etag: '"1"', generation: 1, plans: [] })
    await state.keepSaid({ node: 'a1', reports: { x: 'y' } })
    expect(await state.assignment('a2')).toBeUndefined()
    expect(await state.said('a2')).toEqual({ node: 'a2', reports: {} })
    const [one, two] = [digestOf('one'), digestOf('two')]
    await state.keepPlan(one, new TextEncoder().encode('1'))
    await state.keepPlan(two, new TextEncoder().encode('2'))
    await state.prunePlans([two])
    expect(await state.plan(one)).toBeUndefined()
    expect(new TextDecoder().decode(await state.plan(two))).toBe('2')
  })

  test('that cannot be kept is an error that names the place', async () => {
    await writeFile(join(directory, 'file'), '')
    const error = await failure(State.open(join(directory, 'file', 'state')))
    expect(error).toMatchObject({ code: 'SYSTEM_CALL_FAILED' })
    expect(error.message).toContain(directory)
  })
})

describe('waits after failures', () => {
  const asking = (retryAfterMs: unknown) => new LayercastError('SERVER_FAILED', 'not now', { detail: { retryAfterMs } })

  test('double, are never alike, end at five minutes, and begin anew when it goes well', () => {
    const backoff = new Backoff()
    const waits = Array.from({ length: 1100 }, () => backoff.failed(new Error('x')))
    for (const [n, wait] of waits.entries()) {
      const due = Math.min(1000 * 2 ** n, 300_000)
      expect(wait).toBeGreaterThanOrEqual(due * 0.8)
      expect(wait).toBeLessThanOrEqual(due * 1.2)
    }
    expect(new Set(waits.slice(-1000)).size).toBeGreaterThan(900)
    backoff.succeeded()
    expect(backoff.failed(new Error('x'))).toBeLessThanOrEqual(1200)
  })

  test('are as long as the server asks, within a quarter of an hour', () => {
    const wait = (asked: unknown) => new Backoff().failed(asking(asked))
    for (const asked of [5_000, 120_000, 900_000]) {
      expect(wait(asked)).toBeGreaterThanOrEqual(asked)
      expect(wait(asked)).toBeLessThanOrEqual(asked * 1.2)
    }
    expect(wait(1e15)).toBeLessThanOrEqual(900_000 * 1.2)
    for (const asked of [0, -5, Number.NaN, '60000', null]) expect(wait(asked)).toBeLessThanOrEqual(1200)
  })
})

describe('patience', () => {
  test('goes by a clock that nobody sets: a failure on a clock two days ahead waits no longer', () => {
    const patience = new Patience()
    const wall = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 2 * 86_400_000)
    patience.failed('p')
    wall.mockRestore()
    expect(patience.isDue('p')).toBe(false)
    const steady = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 31_000)
    expect(patience.isDue('p')).toBe(true)
    steady.mockRestore()
  })

  test('is longer after each failure, has an end, and is over when it goes well', () => {
    let now = 0
    const patience = new Patience(() => now)
    const waitsFor = () => {
      const from = now
      while (!patience.isDue('p')) now += 1_000
      return now - from
    }
    const waits = Array.from({ length: 8 }, () => {
      patience.failed('p')
      return waitsFor()
    })
    expect(waits.slice(0, 4)).toEqual([30_000, 60_000, 120_000, 240_000])
    expect(Math.max(...waits)).toBe(15 * 60_000)
    patience.failed('p')
    expect(patience.isDue('other')).toBe(true)
    patience.done('p')
    expect(patience.isDue('p')).toBe(true)
    patience.failed('p')
    expect(waitsFor()).toBe(30_000)
    patience.failed('p')
    patience.forget()
    expect(patience.isDue('p')).toBe(true)
  })
})

test('facts are what the contract takes, whatever snapshotters there are, and only those that are ready', async () => {
  const { schema } = putFacts.request.body.content['application/json']
  const plugin = fc.record({
    name: fc.string({ minLength: 1, maxLength: 128 }),
    capabilities: fc.constant([]),
    broken: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(plugin, { maxLength: 100 }), fc.boolean(), async (plugins, containerd) => {
      const backend = {
        kind: containerd ? 'containerd' : 'embedded',
        version: async () => '1.6.20~ds1',
        snapshotters: async () =>
          plugins.map(({ name, capabilities, broken }) =>
            broken ? { name, capabilities, error: 'not there' } : { name, capabilities },
          ),
      } as unknown as Backend
      const facts = await gatherNodeFacts(backend)
      expect(schema.parse(facts)).toEqual(facts)
      const ready = new Set(plugins.filter(({ broken }) => !broken).map(({ name }) => name))
      for (const name of facts.snapshotters) expect(ready.has(name)).toBe(true)
    }),
  )
})
