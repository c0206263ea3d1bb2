/** How an agent begins: on a state directory of its own, before its containerd, and again with other words. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runAgent, runOnce, type AgentOptions } from '../../../functions/agent/agent.ts'
import type { AgentEvent } from '../../../functions/agent/events.ts'
import { createClient } from '../../../functions/contract/client.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { serve, type Served } from '../../../functions/serve/serve.ts'
import { failure } from '../../runner/unpack/support/failure.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { programs } from '../../support/containerd/versions.ts'
import { start } from '../../support/layercast.ts'

const old = await programs('1.6')
const isRoot = process.getuid?.() === 0

describe.skipIf(!isRoot)('an agent (as root)', () => {
  let directory: string
  let server: Served
  let joinToken: string
  let backend: Backend
  let count = 0

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-agent-start-'))
    server = await serve({ root: join(directory, 'server'), port: 0, log: () => undefined })
    const token = (await readFile(server.operatorTokenFile, 'utf8')).trim()
    joinToken = (await createClient({ server: server.url, token }).createJoinToken({})).token
    backend = await openEmbedded({ root: join(directory, 'root') })
  })
  afterAll(async () => {
    await backend?.close()
    await server?.close()
    await rm(directory, { recursive: true, force: true })
  })
  const agent = (): AgentOptions => {
    const name = `start-${++count}`
    return {
      backend,
      server: server.url,
      joinToken,
      name,
      labels: { pool: 'kata' },
      stateDirectory: join(directory, name),
    }
  }

  test('is the only one on its state directory, and another after it may begin', async () => {
    const options = agent()
    const stop = new AbortController()
    const { promise: joined, resolve } = Promise.withResolvers<void>()
    const onEvent = (event: AgentEvent): void => {
      if (event.type === 'waiting') resolve()
    }
    const first = runAgent({ ...options, signal: stop.signal, onEvent })
    await joined
    const refused = {
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining(options.stateDirectory ?? '') as string,
    }
    expect(await failure(runOnce(options))).toMatchObject(refused)
    expect(await failure(runAgent(options))).toMatchObject(refused)
    stop.abort()
    await first
    expect(await runOnce(options)).toMatchObject({ plans: [] })
  })

  test('knows its server by the address with a slash at its end too', async () => {
    const { joinToken: token, ...options } = agent()
    await runOnce({ ...options, joinToken: token ?? '' })
    expect(await runOnce({ ...options, server: `${server.url}/` })).toMatchObject({ plans: [] })
  })

  test('that has joined begins again with the same words, and refuses others aloud', async () => {
    const options = agent()
    await runOnce(options)
    await runOnce(options)
    const { labels: _, name: _n, ...bare } = options
    await runOnce(bare)
    expect(await failure(runOnce({ ...options, name: 'other' }))).toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('--name says other') as string,
    })
    expect(await failure(runAgent({ ...options, labels: { pool: 'web', zone: 'a' } }))).toMatchObject({
      message: expect.stringContaining('pool, zone') as string,
      fix: expect.stringContaining('node rm') as string,
    })
  })

  describe.skipIf('missing' in old)('of a containerd that starts later', () => {
    let containerd: TestContainerd
    beforeAll(async () => {
      containerd = await startContainerd({ version: '1.6' })
      await containerd.kill()
    })
    afterAll(() => containerd?.stop())

    test('waits for it, and joins with it', async () => {
      const state = join(directory, 'later')
      const child = start(
        [
          'agent',
          '--server',
          server.url,
          '--join-token',
          joinToken,
          '--name',
          'later',
          '--state',
          state,
          '--interval',
          '1s',
        ],
        { env: containerd.env },
      )
      const { promise: waiting, resolve: isWaiting } = Promise.withResolvers<void>()
      const { promise: joined, resolve: hasJoined } = Promise.withResolvers<void>()
      let text = ''
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        if (/containerd does not answer.*trying again/u.test(text)) isWaiting()
        if (text.includes('joined ')) hasJoined()
      })
      try {
        await waiting
        await containerd.start()
        await joined
      } finally {
        child.kill('SIGTERM')
      }
      await new Promise((closed) => child.once('close', closed))
      const kept = JSON.parse(await readFile(join(state, 'node.json'), 'utf8')) as { backend?: string }
      expect(kept.backend).toBe('containerd')
    })
  })
})
