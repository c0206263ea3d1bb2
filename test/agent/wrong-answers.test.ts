import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi, type TestContext } from 'vitest'
import { runAgent, runOnce, type AgentOptions } from '../../functions/agent/agent.ts'
import type { AgentEvent } from '../../functions/agent/events.ts'
import { openEmbedded } from '../../functions/node/embedded/backend.ts'
import { failure } from '../runner/unpack/support/failure.ts'
import { smallImage } from '../runner/unpack/support/images.ts'
import { planOf } from '../runner/unpack/support/plans.ts'
import { agentsServer, problemAnswer, type AgentsServer, type Answer } from './support/server.ts'

// They wait most of the time.
vi.setConfig({ maxConcurrency: 24 })

const body =
  (status: number, type: string, text: string, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, { 'content-type': type, ...headers })
    response.end(text)
  }
const problem = (more: Record<string, unknown>) =>
  JSON.stringify({ type: 'about:blank', title: 'No', status: 401, detail: 'no', code: 'TOKEN_INVALID', ...more })
const OWN = problem({ type: 'urn:layercast:problem:token-invalid' })
const PROBLEM = 'application/problem+json'
const HTML = '<!doctype html><title>Sign in</title>'

const thefts: string[] = []
const thief = createServer((request, response) => {
  thefts.push(`${request.method} ${request.url} ${request.headers.authorization}`)
  response.end('{"generation":9,"plans":[]}')
})
await new Promise<void>((resolve) => thief.listen(0, '127.0.0.1', resolve))
thief.unref()
const elsewhere = `http://127.0.0.1:${(thief.address() as AddressInfo).port}/`

/** What servers, proxies and broken lines answer, none of which says that this node's token is no good. */
const WRONG: Record<string, Answer> = {
  '500, the server itself: INTERNAL, as with a full disk': problemAnswer('INTERNAL'),
  '500, a page': body(500, 'text/html', HTML),
  '502, a page': body(502, 'text/html', HTML),
  '503 with Retry-After in seconds': body(503, 'text/plain', 'soon', { 'retry-after': '1' }),
  '429 with Retry-After that is no time': body(429, 'text/plain', 'soon', { 'retry-after': 'tomorrow' }),
  '200, a page': body(200, 'text/html', HTML),
  '200, a page that calls itself JSON': body(200, 'application/json', HTML),
  '200, half JSON': body(200, 'application/json', '{"generation":3,"pl'),
  '200, JSON of another form': body(200, 'application/json', '{"generation":"three","plans":{}}'),
  '200, null': body(200, 'application/json', 'null'),
  '200, nothing': body(200, 'application/json', ''),
  '202, nothing': body(202, 'text/plain', ''),
  '206, a part': body(206, 'application/json', '{"generation":9,"plans":[]}'),
  '304, asked or not': (response) => response.writeHead(304).end(),
  '301 to another host': body(301, 'text/html', HTML, { location: elsewhere }),
  '302 to another host': body(302, 'text/html', HTML, { location: elsewhere }),
  '307 to another host': body(307, 'text/html', HTML, { location: elsewhere }),
  '308 to another host': body(308, 'text/html', HTML, { location: elsewhere }),
  '401, a page': body(401, 'text/html', HTML, { 'www-authenticate': 'Basic realm="proxy"' }),
  '401, JSON of another program': body(401, 'application/json', '{"error":"unauthorized"}'),
  '401, a problem document of another program': body(401, PROBLEM, problem({})),
  '401, a problem document of another form': body(401, PROBLEM, '{"code":"TOKEN_INVALID"}'),
  '401, our own document as a page': body(401, 'text/html', OWN),
  '401, our own document as JSON': body(401, 'application/json', OWN),
  '401, half of our own document': body(401, PROBLEM, OWN.slice(0, -9)),
  '403, our own document under another status': body(403, PROBLEM, OWN),
  '401, the server itself: no token came, as where a proxy takes it away': problemAnswer('TOKEN_MISSING'),
  '401, the server itself, in words of a later version': body(
    401,
    PROBLEM,
    problem({ type: 'urn:layercast:problem:token-asleep', code: 'TOKEN_ASLEEP' }),
  ),
  '403, a page': body(403, 'text/html', HTML),
  '403, the server itself: another name': problemAnswer('HOST_REFUSED'),
  '404, a page': body(404, 'text/html', HTML),
  '404, the server itself: no such call': problemAnswer('NOT_FOUND'),
  '405, the server itself': problemAnswer('METHOD_NOT_ALLOWED'),
  '413, a page': body(413, 'text/html', HTML),
  '422, the server itself': problemAnswer('DOCUMENT_FIELD_INVALID'),
  '400, the server itself: words that mean our own mistakes': problemAnswer('USAGE'),
  '500, the server itself: a word that means our own end': problemAnswer('ABORTED'),
  'no HTTP': (response) => response.socket?.end('SSH-2.0-OpenSSH_9.2p1\r\n'),
  'a reset': (response) => response.socket?.resetAndDestroy(),
  'a closed line': (response) => response.destroy(),
  'half an answer, then a closed line': (response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    response.write('{"generation":1', () => response.destroy())
  },
  'half an answer, then nothing': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('{"generation":1')
  },
  'an answer, byte by byte': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const timer = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(timer))
  },
  'nothing at all': () => undefined,
  'more than fits': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const chunk = Buffer.alloc(4 << 20, 0x20)
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    }
    response.on('drain', more)
    more()
  },
  'a huge header': (response) => {
    response.socket?.end(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(1 << 20)}\r\n\r\n`)
  },
}

/** Ends what stalls sooner than after the half minute that a call may take. */
const impatient: typeof fetch = (url, init) =>
  fetch(url, { ...init, signal: AbortSignal.any([AbortSignal.timeout(1_000), ...(init?.signal ? [init.signal] : [])]) })

interface Node {
  server: AgentsServer
  options: AgentOptions
  state: string
  identity: () => Promise<string>
}

/** Of tests that run side by side, each its own. */
type Finish = TestContext['onTestFinished']

/** A node and its server. */
async function node(onTestFinished: Finish, stateDirectory?: string): Promise<Node> {
  const directory = await mkdtemp(join(tmpdir(), 'layercast-wrong-'))
  const server = await agentsServer()
  const backend = await openEmbedded({ root: join(directory, 'root') })
  onTestFinished(async () => {
    await backend.close()
    await server.close()
    await rm(directory, { recursive: true, force: true })
  })
  const state = stateDirectory ?? join(directory, 'state')
  const options: AgentOptions = {
    backend,
    server: server.url,
    joinToken: 'lc_join_x',
    name: 'n',
    stateDirectory: state,
    intervalMs: 50,
    fetch: impatient,
  }
  return { server, options, state, identity: async () => await readFile(join(state, 'node.json'), 'utf8') }
}

/** An agent that goes on, with what it told. */
function started(onTestFinished: Finish, options: AgentOptions) {
  const stop = new AbortController()
  const events: AgentEvent[] = []
  let ended: unknown
  const running = runAgent({ ...options, signal: stop.signal, onEvent: (event) => events.push(event) }).then(
    () => (ended = 'stopped'),
    (error: unknown) => (ended = error),
  )
  onTestFinished(() => stop.abort())
  const until = async (condition: () => boolean, what: string) => {
    for (const deadline = performance.now() + 40_000; !condition();) {
      if (ended !== undefined) throw new Error(`it ended before ${what}`, { cause: ended })
      if (performance.now() > deadline) throw new Error(`never ${what}`)
      await new Promise((done) => setTimeout(done, 10))
    }
  }
  const seen = (type: AgentEvent['type']) => events.filter((event) => event.type === type).length
  return { until, seen, events, running, stop: async () => (stop.abort(), await running) }
}

const planned = planOf(smallImage('wrong answers'), { snapshotter: 'overlayfs' })
const assignTo = (server: AgentsServer) => {
  server.generation++
  server.plans = [planned]
}
/** What came of the plan, as the server was last told. */
const outcomeAt = (server: AgentsServer) => server.reports.at(-1)?.plans[0]?.error?.code

describe.concurrent('after an answer that is none, the agent lives, is the same node and goes on', () => {
  // 304 to a conditional call says that nothing changed: no wrong answer.
  test.for(Object.entries(WRONG).filter(([what]) => !what.startsWith('304')))(
    '%s',
    async ([, wrong], { onTestFinished }) => {
      const { server, options, identity } = await node(onTestFinished)
      await runOnce(options)
      const kept = await identity()
      const { joinToken: _join, ...alone } = options
      // With a join token at hand it must not become another node, without one it must not end.
      for (const given of [options, alone]) {
        const agent = started(onTestFinished, given)
        await agent.until(() => agent.seen('waiting') > 0, 'well')
        server.wrong = wrong
        await agent.until(() => agent.seen('failed') > 0, 'failing')
        expect(await identity()).toBe(kept)
        server.wrong = undefined
        const before = server.reports.length
        assignTo(server)
        await agent.until(() => server.reports.length > before, 'reporting again')
        expect(outcomeAt(server)).toBe('IMAGE_NOT_FOUND')
        expect(await agent.stop()).toBe('stopped')
        expect(await identity()).toBe(kept)
      }
      expect(server.enrolments).toHaveLength(1)
      expect(thefts).toEqual([])
    },
  )

  test.for(Object.entries(WRONG))('while it becomes a node: %s', async ([, wrong], { onTestFinished }) => {
    const { server, options } = await node(onTestFinished)
    server.wrong = wrong
    const agent = started(onTestFinished, options)
    await agent.until(() => agent.seen('failed') > 0, 'failing')
    server.wrong = undefined
    await agent.until(() => agent.seen('waiting') > 0, 'well')
    expect(await agent.stop()).toBe('stopped')
    expect(server.enrolments).toHaveLength(1)
    expect(thefts).toEqual([])
  })

  const calls = ['PUT /v1/nodes/ID/facts', 'GET /v1/node/assignment', 'GET /v1/plans/DIGEST', 'POST /v1/node/report']
  test.for(calls)('%s alone is answered so, each in turn', async (call, { onTestFinished }) => {
    const { server, options, identity, state } = await node(onTestFinished)
    await runOnce(options)
    const kept = await identity()
    for (const [what, wrong] of Object.entries(WRONG)) {
      // 304 to a conditional call says that nothing changed.
      if (/^304|Retry-After in|byte by byte|nothing|more than/.test(what)) continue
      for (const file of ['said.json', 'assignment.json']) await rm(join(state, file), { force: true })
      await rm(join(state, 'plans'), { recursive: true, force: true })
      await mkdir(join(state, 'plans'))
      Object.assign(server, { wrong, wrongOn: call })
      assignTo(server)
      const { joinToken: _join, ...alone } = options
      const told = await runOnce(alone).then(
        ({ plans }) => plans[0]?.error,
        (error: unknown) => error,
      )
      expect([what, told]).toEqual([what, expect.objectContaining({ code: expect.any(String) as unknown })])
      Object.assign(server, { wrong: undefined })
      await runOnce(alone)
      expect([what, outcomeAt(server)]).toEqual([what, 'IMAGE_NOT_FOUND'])
      expect(await identity()).toBe(kept)
    }
    expect(server.enrolments).toHaveLength(1)
    expect(thefts).toEqual([])
  })

  test('Retry-After, in seconds and as a date, is waited for', async ({ onTestFinished }) => {
    const { server, options } = await node(onTestFinished)
    await runOnce(options)
    const dates = { date: 'Thu, 26 Nov 2026 21:00:00 GMT', 'retry-after': 'Thu, 26 Nov 2026 21:00:40 GMT' }
    for (const headers of [{ 'retry-after': '40' }, dates]) {
      server.wrong = problemAnswer('INTERNAL', headers)
      const agent = started(onTestFinished, options)
      await agent.until(() => agent.seen('failed') > 0, 'failing')
      await agent.stop()
      const failed = agent.events.find((event) => event.type === 'failed')
      expect(failed?.waitMs).toBeGreaterThanOrEqual(40_000)
      expect(failed?.waitMs).toBeLessThanOrEqual(48_000)
    }
  })

  test('an answer to an enrolment that gives no token to call with is none', async ({ onTestFinished }) => {
    const { server, options, identity } = await node(onTestFinished)
    await runOnce(options)
    const kept = JSON.parse(await identity()) as object
    server.token = 'lost'
    for (const token of ['', 'a b', 'a\r\nx: y', 7]) {
      server.wrongOn = 'POST /v1/nodes'
      server.wrong = body(201, 'application/json', JSON.stringify({ id: 'n2', name: 'n', token }))
      expect(await failure(runOnce(options))).toMatchObject({ code: 'SERVER_FAILED' })
      expect(JSON.parse(await identity())).toEqual(kept)
    }
  })
})

describe('the server itself says that a token is not good', () => {
  test('without a join token the agent ends, and keeps what it was', async ({ onTestFinished }) => {
    const { server, options, identity } = await node(onTestFinished)
    await runOnce(options)
    const kept = await identity()
    const { joinToken: _, ...alone } = options
    for (const code of ['TOKEN_INVALID', 'TOKEN_REVOKED', 'TOKEN_EXPIRED'] as const) {
      server.wrong = problemAnswer(code)
      expect(await failure(runAgent(alone))).toMatchObject({ code: 'TOKEN_INVALID' })
    }
    expect(await identity()).toBe(kept)
    // A server that errs, as one that was set back to the wrong database, may be put right.
    server.wrong = undefined
    expect(await runOnce(alone)).toMatchObject({ generation: 1 })
  })

  test('with a join token it stays who it is until it has become a node again', async ({ onTestFinished }) => {
    const { server, options, identity } = await node(onTestFinished)
    await runOnce(options)
    const kept = JSON.parse(await identity()) as { token: string; enrolmentKey: string }
    server.token = 'another'
    Object.assign(server, { wrong: problemAnswer('INTERNAL'), wrongOn: 'POST /v1/nodes' })
    const agent = started(onTestFinished, { ...options, name: 'n' })
    await agent.until(() => agent.seen('failed') > 1, 'failing twice')
    expect(JSON.parse(await identity())).toEqual(kept)
    server.wrong = undefined
    await agent.until(() => agent.seen('waiting') > 0, 'well')
    expect(await agent.stop()).toBe('stopped')
    expect(JSON.parse(await identity())).toEqual({ ...kept, token: server.token })
    expect(new Set(server.enrolments.map(({ enrolmentKey }) => enrolmentKey)).size).toBe(1)
  })

  test('under another name or at another server, the enrolment that it has outlives one that does not come off', async ({
    onTestFinished,
  }) => {
    const { server, options, identity } = await node(onTestFinished)
    await runOnce(options)
    const kept = JSON.parse(await identity()) as object
    const second = await agentsServer()
    onTestFinished(second.close)
    second.wrong = problemAnswer('INTERNAL')
    const moved = { ...options, server: second.url }
    for (let times = 0; times < 2; times++) {
      expect(await failure(runOnce(moved))).toMatchObject({ code: 'INTERNAL' })
      expect(JSON.parse(await identity())).toMatchObject(kept)
    }
    const { joinToken: _, ...alone } = options
    expect(await runOnce(alone)).toMatchObject({ generation: 1 })
    second.wrong = undefined
    await runOnce(moved)
    expect(JSON.parse(await identity())).toMatchObject({ server: second.url, token: second.token })
    expect(JSON.parse(await identity())).not.toHaveProperty('next')
    expect(server.enrolments).toHaveLength(1)
  })

  test('of the join token, when there is no other: the agent ends', async ({ onTestFinished }) => {
    for (const code of ['TOKEN_INVALID', 'TOKEN_REVOKED', 'TOKEN_EXPIRED', 'TOKEN_USED_UP', 'TOKEN_SCOPE'] as const) {
      const { server, options } = await node(onTestFinished)
      server.wrong = problemAnswer(code)
      expect(await failure(runAgent(options))).toMatchObject({ code })
    }
  })

  test('a name that is taken is waited for: an operator may remove the machine that had it', async ({
    onTestFinished,
  }) => {
    const { server, options } = await node(onTestFinished)
    server.wrong = problemAnswer('NODE_EXISTS')
    const agent = started(onTestFinished, options)
    await agent.until(() => agent.seen('failed') > 0, 'failing')
    server.wrong = undefined
    await agent.until(() => agent.seen('waiting') > 0, 'well')
    expect(await agent.stop()).toBe('stopped')
  })
})

test('what is mistyped is told at once: an address that is none, no token at all', async ({ onTestFinished }) => {
  const { options } = await node(onTestFinished)
  const { joinToken: _, ...alone } = options
  expect(await failure(runAgent({ ...options, server: 'localhost:8787' }))).toMatchObject({ code: 'USAGE' })
  expect(await failure(runAgent(alone))).toMatchObject({ code: 'TOKEN_MISSING' })
})

describe.skipIf(process.getuid?.() !== 0)('a full disk under its state (as root)', () => {
  test('is waited out, with nothing lost and nothing left behind', async ({ onTestFinished }) => {
    const mountpoint = await mkdtemp(join(tmpdir(), 'layercast-full-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', mountpoint])
    onTestFinished(async () => {
      execFileSync('umount', [mountpoint])
      await rm(mountpoint, { recursive: true })
    })
    const { server, options, state, identity } = await node(onTestFinished, join(mountpoint, 'state'))
    const filler = join(mountpoint, 'filler')
    const fill = async () => {
      for (let size = 65_536; size >= 1;) {
        const went = await writeFile(filler, Buffer.alloc(size), { flag: 'a' }).then(
          () => undefined,
          (error: NodeJS.ErrnoException) => error.code,
        )
        if (went !== undefined && went !== 'ENOSPC') throw new Error(`cannot fill the disk: ${went}`)
        if (went === 'ENOSPC') size = Math.floor(size / 2)
      }
    }
    await runOnce(options)
    const kept = await identity()
    const agent = started(onTestFinished, options)
    await agent.until(() => agent.seen('waiting') > 0, 'well')
    await fill()
    assignTo(server)
    await agent.until(() => agent.seen('failed') > 0, 'failing')
    expect(await identity()).toBe(kept)
    expect((await readdir(state)).filter((name) => name.endsWith('.part'))).toEqual([])
    // Also where it has to become a node again meanwhile.
    server.token = 'another'
    const failures = agent.seen('failed')
    await agent.until(() => agent.seen('failed') > failures, 'failing again')
    await rm(filler)
    await agent.until(() => outcomeAt(server) === 'IMAGE_NOT_FOUND', 'reporting again')
    expect(await agent.stop()).toBe('stopped')
    expect(JSON.parse(await identity())).toMatchObject({ id: 'n1', token: server.token })
  })
})
