import { setTimeout as sleep } from 'node:timers/promises'
import { create, toBinary } from '@bufbuild/protobuf'
import { expect, test, vi } from 'vitest'
import { Gate, isGated, type FailedEvent, type GateOptions, type ReadyEvent } from '../../functions/cri-proxy/gate.ts'
import {
  CreateContainerRequestSchema,
  RunPodSandboxRequestSchema,
  RunPodSandboxResponseSchema,
} from '../../functions/cri-proxy/proto/gen/cri_pb.js'
import type { Made } from '../../functions/cri-proxy/readiness.ts'
import { LayercastError } from '../../functions/errors.ts'

const METHOD = '/runtime.v1.RuntimeService/'
const MADE: Made = { outcome: 'unpacked', snapshotter: 'erofs', reference: 'example.com/a:1', layers: 2, warnings: [] }
const NOT_THERE = new LayercastError('IMAGE_NOT_FOUND', 'there is no image a', { fix: 'Pull it.' })
const sandbox = (handler: string): Uint8Array =>
  toBinary(RunPodSandboxRequestSchema, create(RunPodSandboxRequestSchema, { runtimeHandler: handler }))
const container = (podSandboxId: string, image: string, userSpecifiedImage = ''): Uint8Array =>
  toBinary(
    CreateContainerRequestSchema,
    create(CreateContainerRequestSchema, { podSandboxId, config: { image: { image, userSpecifiedImage } } }),
  )

/** A gate whose images become ready as `ensure` says, and what it asks and tells. */
function gateWith(ensure: (...asked: unknown[]) => Promise<Made>, options: Partial<GateOptions> = {}) {
  const asked: unknown[][] = []
  const ready: ReadyEvent[] = []
  const failed: FailedEvent[] = []
  const statuses: string[] = []
  const gate = new Gate({
    readiness: {
      ensure: async (...args: unknown[]) => {
        asked.push(args)
        return await ensure(...args)
      },
    } as unknown as GateOptions['readiness'],
    sandboxImage: () => Promise.resolve('example.com/pause:1'),
    cri: {
      call: async (what: string) => {
        statuses.push(what)
        return await Promise.resolve({ status: { runtimeHandler: 'asked' } })
      },
      client: () => ({}),
    } as unknown as GateOptions['cri'],
    budgetMs: 5000,
    onFailure: 'pass',
    onReady: (event) => ready.push(event),
    onFailed: (event) => failed.push(event),
    ...options,
  })
  const wait = (method: string, message: Uint8Array, timeoutMs?: number, signal = new AbortController().signal) =>
    gate.wait({ method: `${METHOD}${method}`, timeoutMs }, message, signal)
  return { gate, wait, asked, ready, failed, statuses }
}

test('two calls wait, of both services, and no other', () => {
  for (const service of ['v1', 'v1alpha2']) {
    for (const method of ['RunPodSandbox', 'CreateContainer']) {
      expect(isGated(`/runtime.${service}.RuntimeService/${method}`)).toBe(true)
    }
    expect(isGated(`/runtime.${service}.RuntimeService/StartContainer`)).toBe(false)
  }
  expect(isGated('/runtime.v2.RuntimeService/CreateContainer')).toBe(false)
  expect(isGated('/x/runtime.v1.RuntimeService/CreateContainer')).toBe(false)
})

test('a sandbox asks for the pause image of its handler, and its containers for theirs, with no question to CRI', async () => {
  const { gate, wait, asked, ready, statuses } = gateWith(() => Promise.resolve(MADE))
  expect(await wait('RunPodSandbox', sandbox('kata'))).toEqual({ pass: true })
  const answer = toBinary(RunPodSandboxResponseSchema, create(RunPodSandboxResponseSchema, { podSandboxId: 'pod' }))
  gate.answered({ method: `${METHOD}RunPodSandbox`, timeoutMs: undefined }, sandbox('kata'), answer)
  await wait('CreateContainer', container('pod', 'sha256:abc', 'a:1'))
  expect(asked).toEqual([
    ['kata', 'example.com/pause:1'],
    ['kata', 'sha256:abc', 'a:1'],
  ])
  expect(statuses).toEqual([])
  expect(ready.map(({ method, handler, image }) => [method, handler, image])).toEqual([
    ['RunPodSandbox', 'kata', 'example.com/pause:1'],
    ['CreateContainer', 'kata', 'sha256:abc'],
  ])
})

test('of a sandbox that it did not see, CRI is asked once', async () => {
  const { wait, asked, statuses } = gateWith(() => Promise.resolve(MADE))
  await wait('CreateContainer', container('older', 'a'))
  await wait('CreateContainer', container('older', 'b'))
  expect(asked.map(([handler]) => handler)).toEqual(['asked', 'asked'])
  expect(statuses).toHaveLength(1)
})

test('what fails is told, and the call goes on, or is refused where that is asked for', async () => {
  const fail = () => Promise.reject(NOT_THERE)
  const passing = gateWith(fail)
  expect(await passing.wait('CreateContainer', container('pod', 'a'))).toEqual({ pass: true })
  expect(passing.failed).toEqual([expect.objectContaining({ error: NOT_THERE, refused: false, image: 'a' })])
  const refusing = gateWith(fail, { onFailure: 'refuse' })
  expect(await refusing.wait('CreateContainer', container('pod', 'a'))).toEqual({
    pass: false,
    status: 9,
    message: 'layercast: there is no image a. Pull it. [IMAGE_NOT_FOUND]',
  })
  expect(refusing.failed).toEqual([expect.objectContaining({ refused: true })])
})

test('a request that is none of CRI goes on', async () => {
  const { wait, failed } = gateWith(() => Promise.resolve(MADE))
  expect(await wait('CreateContainer', Uint8Array.from([0xff, 0xff, 0xff]))).toEqual({ pass: true })
  expect(failed).toHaveLength(1)
})

test('after its budget a call goes on, and what is made meanwhile is told when it is there', async () => {
  const { promise, resolve } = Promise.withResolvers<Made>()
  const { wait, ready, failed } = gateWith(() => promise, { budgetMs: 50 })
  expect(await wait('CreateContainer', container('pod', 'a'))).toEqual({ pass: true })
  expect(failed).toEqual([expect.objectContaining({ error: expect.objectContaining({ code: 'TIMED_OUT' }) })])
  expect(ready).toEqual([])
  resolve(MADE)
  await vi.waitUntil(() => ready.length === 1)
})

test("a call's own deadline leaves containerd time, whatever the budget", async () => {
  const { wait, failed } = gateWith(() => new Promise<Made>(() => undefined), { budgetMs: 60_000 })
  const started = performance.now()
  await wait('CreateContainer', container('pod', 'a'), 2100)
  expect(performance.now() - started).toBeLessThan(2000)
  expect(failed).toHaveLength(1)
})

test('a client that gives up is let go at once, and the failure is not its', async () => {
  const { promise, resolve } = Promise.withResolvers<Made>()
  const { wait, ready, failed } = gateWith(() => promise)
  const abort = new AbortController()
  const waiting = wait('CreateContainer', container('pod', 'a'), undefined, abort.signal)
  await sleep(10)
  abort.abort()
  await waiting
  expect([ready, failed]).toEqual([[], []])
  resolve(MADE)
  await vi.waitUntil(() => ready.length === 1)
})
