import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { createClient } from '../../functions/contract/client.ts'
import { hasCode } from '../../functions/errors.ts'
import { plan } from '../../functions/plan/plan.ts'
import { serve } from '../../functions/serve/serve.ts'
import { testImage } from '../support/test-image.ts'
import { operatorOf, useServers } from './support.ts'

/** The built Worker (npm run build) under a real workerd. */

const reference = 'docker.io/library/test:1'
const FACTS = { os: 'linux', architecture: 'amd64', backend: 'embedded' as const, snapshotters: ['overlayfs'] }
const servers = useServers()

describe('serve', { timeout: 60_000 }, () => {
  test('plans over HTTP with the very bytes that the library gives', async () => {
    const server = await servers.start()
    const client = await operatorOf(server)
    const { manifest, config } = testImage(1)
    const request = { reference, manifest, config, snapshotter: 'nydus' }
    const planned = await client.plan(request)
    expect(Buffer.from(planned.bytes)).toEqual(Buffer.from(plan(request).bytes))
    expect((await client.getPlan(planned.digest)).bytes).toEqual(planned.bytes)
  })

  test('keeps its data, its token and its generations over a restart', async () => {
    const first = await servers.start()
    const { manifest, config } = testImage(2)
    const operator = await operatorOf(first)
    const join = await operator.createJoinToken({})
    const node = await createClient({ server: first.url, token: join.token }).enrol({ name: 'one', facts: FACTS })
    const planned = await operator.plan({ reference, manifest, config, snapshotter: 'native' })
    const before = await operator.assign({ selector: '*', plans: [planned.digest] })
    const token = await readFile(first.operatorTokenFile, 'utf8')
    await servers.stop(first)

    const second = await servers.start()
    expect(await readFile(second.operatorTokenFile, 'utf8')).toBe(token)
    const again = await operatorOf(second)
    expect((await again.assignments()).items).toEqual([before])
    const own = await createClient({ server: second.url, token: node.token }).ownAssignment()
    expect(own).toMatchObject({ generation: before.generation, plans: [{ digest: planned.digest }] })
    const after = await again.assign({ selector: '*', plans: [planned.digest] })
    expect(after.generation).toBeGreaterThan(before.generation)
  })

  test('keeps what it must to itself: the token and the directory are for their owner', async () => {
    const made = path.join(servers.root, 'made', 'here')
    const server = await servers.start({ root: made })
    const { mode } = await stat(server.operatorTokenFile)
    expect((mode & 0o777).toString(8)).toBe('600')
    expect((await stat(made)).mode & 0o077).toBe(0)
    expect(await readFile(server.operatorTokenFile, 'utf8')).toMatch(/^lc_operator_[a-z0-9]+_[\w-]{43}\n$/)
  })

  test('takes a data directory by a relative path', async () => {
    const server = await servers.start({ root: path.relative('.', path.join(servers.root, 'server')) })
    expect(server.operatorTokenFile).toBe(path.join(servers.root, 'server', 'operator-token'))
    expect((await (await operatorOf(server)).nodes()).items).toEqual([])
  })

  test('asks for a token even to plan, unless it is told not to', async () => {
    const server = await servers.start()
    await expect(createClient({ server: server.url }).snapshotters()).rejects.toMatchObject({ code: 'TOKEN_MISSING' })
    expect((await (await operatorOf(server)).snapshotters()).profiles.length).toBeGreaterThan(5)
    await servers.stop(server)
    const open = await servers.start({ openPlanner: true })
    expect((await createClient({ server: open.url }).snapshotters()).profiles.length).toBeGreaterThan(5)
    await expect(createClient({ server: open.url }).nodes()).rejects.toMatchObject({ code: 'TOKEN_MISSING' })
  })

  test('answers from its first moment as it will, because it migrates before it listens', async () => {
    for (const name of ['one', 'two', 'three']) {
      const free = createServer()
      await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve))
      const { port } = free.address() as AddressInfo
      await new Promise((resolve) => free.close(resolve))
      const client = createClient({ server: `http://127.0.0.1:${port}` })
      const starting = servers.start({ root: path.join(servers.root, name), port, openPlanner: true })
      const asked = (async () => {
        for (;;) {
          const failure: unknown = await client.getPlan(`sha256:${'0'.repeat(64)}`).catch((error: unknown) => error)
          if (!hasCode(failure, 'SERVER_UNREACHABLE')) return failure
        }
      })()
      expect(await asked).toMatchObject({ code: 'PLAN_NOT_FOUND' })
      await starting
    }
  })

  test('does not listen where the database cannot be migrated', async () => {
    const directory = path.join(servers.root, 'state', 'd1', 'miniflare-D1DatabaseObject')
    await mkdir(directory, { recursive: true })
    const file = 'c09840485fb3c71d17ca255a75847315fc8cf70204820273a6a284a12f9460d8.sqlite'
    await writeFile(path.join(directory, file), 'no database '.repeat(1000))
    await expect(serve({ root: servers.root, log: () => undefined })).rejects.toMatchObject({ code: 'SERVER_FAILED' })
    expect(await readFile(path.join(directory, file), 'utf8')).toContain('no database')
  })

  test('says that a port is taken', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    try {
      await expect(serve({ root: servers.root, port })).rejects.toMatchObject({
        code: 'PORT_IN_USE',
        message: `port ${port} of 127.0.0.1 is taken`,
      })
    } finally {
      await new Promise((resolve) => taken.close(resolve))
    }
  })

  test('does not share its directory with another one, and gives it free when it stops', async () => {
    const first = await servers.start()
    await expect(serve({ root: servers.root })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' })
    expect(await createClient({ server: first.url }).health()).toEqual({ ok: true })
    await servers.stop(first)
    const second = await servers.start()
    expect(await createClient({ server: second.url }).health()).toEqual({ ok: true })
  })

  test('a failed start gives the directory free too', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    await expect(serve({ root: servers.root, port })).rejects.toMatchObject({ code: 'PORT_IN_USE' })
    await new Promise((resolve) => taken.close(resolve))
    await servers.start({ port })
  })

  test('does not start over a token file that holds something else, and leaves it alone', async () => {
    const file = path.join(servers.root, 'operator-token')
    await writeFile(file, 'my notes')
    await expect(serve({ root: servers.root })).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
    expect(await readFile(file, 'utf8')).toBe('my notes')
  })
})
