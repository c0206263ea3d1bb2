import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runOnce, type AgentOptions } from '../../functions/agent/agent.ts'
import { openEmbedded } from '../../functions/node/embedded/backend.ts'
import type { Backend } from '../../functions/node/ports.ts'
import { smallImage } from '../runner/unpack/support/images.ts'
import { planOf } from '../runner/unpack/support/plans.ts'
import { agentsServer, type AgentsServer } from './support/server.ts'

/** A server that was set back to an older state, as the agent meets it. The real one: test/e2e/restored-server.test.ts. */

const [one, two] = ['one', 'two'].map((name) => planOf(smallImage(name), { snapshotter: 'overlayfs' }))
const FACTS = 'PUT /v1/nodes/ID/facts'
const REPORT = 'POST /v1/node/report'

let directory: string
let server: AgentsServer
let backend: Backend
let agent: AgentOptions

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-restored-'))
  server = await agentsServer()
  backend = await openEmbedded({ root: join(directory, 'root') })
  agent = { backend, server: server.url, joinToken: 'j', name: 'n', stateDirectory: join(directory, 'state') }
})
afterEach(async () => {
  await backend.close()
  await server.close()
  await rm(directory, { recursive: true })
})

/** One round under this assignment: what it says of it, and which of the calls that tell the server something it made. */
async function round(generation: number, plans: Array<typeof one>) {
  server.calls.length = 0
  Object.assign(server, { generation, plans })
  const result = await runOnce(agent)
  return {
    generation: result.generation,
    changed: result.changed,
    plans: result.plans.map(({ digest }) => digest),
    told: server.calls.filter((call) => call === FACTS || call === REPORT),
  }
}

describe('an assignment', () => {
  test('is taken for its content, whatever its generation: a lower one, or the same with other plans', async () => {
    const digests = [one?.digest, two?.digest]
    expect(await round(7, [one])).toMatchObject({ generation: 7, changed: true, plans: [digests[0]] })
    expect(await round(3, [one])).toMatchObject({ generation: 3, changed: true, told: [REPORT] })
    expect(server.reports.at(-1)).toMatchObject({ generation: 3, plans: [{ digest: digests[0] }] })
    expect(await round(7, [two, one])).toMatchObject({ changed: true, plans: digests.toReversed(), told: [REPORT] })
    // What was said of a plan under another assignment is not taken for said under this one.
    expect(server.reports.at(-1)?.plans.map(({ digest }) => digest)).toEqual(digests.toReversed())
    expect(await round(7, [])).toMatchObject({ generation: 7, changed: true, plans: [], told: [REPORT] })
    expect(await round(7, [])).toMatchObject({ changed: false, told: [] })
  })

  test('without an ETag, which a proxy may take away, is no news while it says the same', async () => {
    server.etags = false
    expect(await round(2, [one])).toMatchObject({ changed: true, told: [FACTS, REPORT] })
    expect(await round(2, [one])).toMatchObject({ changed: false, told: [] })
    expect(await round(2, [two])).toMatchObject({ changed: true, told: [REPORT] })
  })
})

describe('what the server was told', () => {
  test('is told again, all of it, where the server knows another state than it said; once', async () => {
    server.known = 'a'
    expect(await round(2, [one])).toMatchObject({ told: [FACTS, REPORT] })
    expect(await round(2, [one])).toMatchObject({ changed: false, told: [] })
    server.known = 'older'
    expect(await round(2, [one])).toMatchObject({ changed: false, told: [FACTS, REPORT] })
    expect(server.reports.at(-1)?.plans).toHaveLength(1)
    expect(await round(2, [one])).toMatchObject({ told: [] })
  })

  test('is told again where the telling was broken off', async () => {
    server.known = 'a'
    await round(2, [one])
    server.known = 'older'
    Object.assign(server, { wrongOn: REPORT, wrong: (response: { destroy(): void }) => response.destroy() })
    await expect(round(2, [one])).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' })
    server.wrong = undefined
    expect(await round(2, [one])).toMatchObject({ told: [FACTS, REPORT] })
    expect(server.reports.at(-1)?.plans).toHaveLength(1)
    expect(await round(2, [one])).toMatchObject({ told: [] })
  })

  test('is told again while the server passes over it', async () => {
    server.older = true
    for (let times = 0; times < 3; times++) expect((await round(2, [one])).told).toContain(REPORT)
    server.older = false
    expect(await round(2, [one])).toMatchObject({ told: [REPORT] })
    expect(await round(2, [one])).toMatchObject({ told: [] })
  })

  test('is told as before to a server that does not say what it knows', async () => {
    server.known = 'a'
    await round(2, [one])
    server.known = undefined
    expect(await round(2, [one])).toMatchObject({ told: [] })
  })
})
