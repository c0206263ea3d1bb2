import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runAgent, runOnce, type AgentOptions } from '../../../functions/agent/agent.ts'
import type { AgentEvent } from '../../../functions/agent/events.ts'
import { createClient, type Client } from '../../../functions/contract/client.ts'
import type { Digest } from '../../../functions/image/digest.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { serve, type Served } from '../../../functions/serve/serve.ts'
import { failure } from '../../runner/unpack/support/failure.ts'
import { smallImage, withWrongDiffID } from '../../runner/unpack/support/images.ts'
import { planOf, REFERENCE } from '../../runner/unpack/support/plans.ts'
import { removeChain, store } from '../../runner/unpack/support/stores.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { programs } from '../../support/containerd/versions.ts'
import { file as fileOf } from '../../support/images/entries.ts'
import { buildImage, type BuiltImage } from '../../support/images/image.ts'

const found = await programs('1.6')
const containerdMissing = 'missing' in found ? found.missing : undefined
const isRoot = process.getuid?.() === 0

describe.skipIf(!isRoot)('the node agent against a served API (as root)', () => {
  let directory: string
  let server: Served
  let operator: Client
  let joinToken: string
  let backend: Backend
  let image: BuiltImage
  let planned: Digest
  let count = 0
  let agent: AgentOptions
  let stateDirectory: string

  const start = async (port = 0): Promise<Served> =>
    await serve({ root: join(directory, 'server'), port, log: () => undefined })

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-agent-'))
    server = await start()
    operator = createClient({ server: server.url, token: (await readFile(server.operatorTokenFile, 'utf8')).trim() })
    joinToken = (await operator.createJoinToken({})).token
    image = smallImage('agent')
    planned = await keepPlan(image, 'overlayfs')
  })
  afterAll(async () => {
    await server?.close()
    await rm(directory, { recursive: true, force: true })
  })
  beforeEach(async () => {
    const name = `node-${++count}`
    backend = await openEmbedded({ root: join(directory, name) })
    stateDirectory = join(directory, `${name}-state`)
    agent = { backend, server: server.url, joinToken, stateDirectory, name, labels: { name }, intervalMs: 50 }
  })
  afterEach(() => backend.close())

  async function keepPlan(of: BuiltImage, snapshotter: string, reference = REFERENCE): Promise<Digest> {
    const { manifestBytes: manifest, configBytes: config } = of
    return (await operator.plan({ reference, manifest, config, snapshotter })).digest
  }
  const assign = (digests: Digest[], name = agent.name ?? '') =>
    operator.assign({ selector: `name=${name}`, plans: digests })
  const node = async (name = agent.name) =>
    (await operator.nodes({ limit: 100 })).items.find((item) => item.name === name)
  const verified = async (on = backend, snapshotter = 'overlayfs') => {
    expect(await verifyChain({ backend: on, plan: planOf(image, { snapshotter }).plan })).toMatchObject({ ok: true })
  }

  test('a node enrols, has nothing to do, gets a plan, carries it out and says so', async () => {
    await store(backend, image)
    expect(await runOnce(agent)).toMatchObject({ changed: true, plans: [] })
    await assign([planned])
    const events: AgentEvent[] = []
    const result = await runOnce({ ...agent, onEvent: (event) => events.push(event) })
    expect(result).toMatchObject({ changed: true, reported: true })
    expect(result.plans).toMatchObject([{ digest: planned, state: 'applied', ready: false, reference: REFERENCE }])
    expect(events.map((event) => event.type)).not.toContain('enrolled')
    await verified()
    expect(await node()).toMatchObject({
      facts: { backend: 'embedded', os: 'linux', snapshotters: ['overlayfs'] },
      labels: { name: agent.name },
      plans: [{ digest: planned, state: 'applied', chainID: image.chainIDs[2] }],
    })
  })

  test("a plan's outcome has the warnings of its unpack", async () => {
    const odd = buildImage({
      layers: [[fileOf('mapped', 'agent')]],
      layerAnnotations: [{ 'containerd.io/snapshot/uidmapping': '0:100000:65536' }],
    })
    await store(backend, odd, 'localhost/odd:1')
    await runOnce(agent)
    await assign([await keepPlan(odd, 'overlayfs', 'localhost/odd:1')])
    const events: AgentEvent[] = []
    const { plans } = await runOnce({ ...agent, onEvent: (event) => events.push(event) })
    const warned = { state: 'applied', warnings: [{ code: 'MAPPING_DROPPED' }] }
    expect(plans).toMatchObject([warned])
    expect(events.filter((event) => event.type === 'plan' && event.step === 'done')).toMatchObject([
      { outcome: warned },
    ])
  })

  test('what is done and told is neither done nor told again', async () => {
    await store(backend, image)
    const { joinToken: _, ...later } = agent
    await runOnce(agent)
    await assign([planned])
    await runOnce(later)
    const calls: string[] = []
    const counted: typeof fetch = async (url, init) => {
      const answer = await fetch(url, init)
      calls.push(`${init?.method} ${new URL(String(url)).pathname} ${answer.status}`)
      return answer
    }
    const again = await runOnce({ ...later, fetch: counted })
    expect(again).toMatchObject({ changed: false, reported: false, plans: [{ state: 'applied', ready: true }] })
    expect(calls).toEqual(['GET /v1/node/assignment 304'])
  })

  test('secrets and state are for root alone', async () => {
    await runOnce(agent)
    expect((await stat(stateDirectory)).mode & 0o777).toBe(0o700)
    for (const name of await readdir(stateDirectory)) {
      const { mode } = await stat(join(stateDirectory, name))
      expect(mode & 0o077).toBe(0)
    }
    const identity = JSON.parse(await readFile(join(stateDirectory, 'node.json'), 'utf8')) as { token: string }
    expect(JSON.stringify(await node())).not.toContain(identity.token)
  })

  test('an image that is not on the node is reported, and carried out once it is', async () => {
    await runOnce(agent)
    await assign([planned])
    const lacking = await runOnce(agent)
    expect(lacking.plans).toMatchObject([{ state: 'failed', error: { code: 'IMAGE_NOT_FOUND' } }])
    expect((await node())?.plans).toMatchObject([{ state: 'failed', error: { code: 'IMAGE_NOT_FOUND' } }])
    // The same name over another image is not it.
    await store(backend, smallImage('another'))
    expect((await runOnce(agent)).plans).toMatchObject([{ state: 'failed', error: { code: 'BLOB_NOT_FOUND' } }])
    await store(backend, image)
    expect((await runOnce(agent)).plans).toMatchObject([{ state: 'applied' }])
    expect((await node())?.plans).toMatchObject([{ state: 'applied' }])
    expect((await node())?.plans[0]?.error).toBeUndefined()
  })

  test('a plan that cannot be carried out does not keep the next one from it', async () => {
    const wrong = withWrongDiffID(smallImage('wrong'), 1)
    await store(backend, wrong, 'example.com/wrong:1')
    await store(backend, image)
    const nosuch = await keepPlan(image, 'nosuch')
    await runOnce(agent)
    await assign([await keepPlan(wrong, 'overlayfs', 'example.com/wrong:1'), nosuch, planned])
    const { plans } = await runOnce(agent)
    const states = Object.fromEntries(plans.map((plan) => [plan.error?.code ?? plan.state, plan.digest]))
    expect(Object.keys(states).sort()).toEqual(['DIFF_ID_MISMATCH', 'SNAPSHOTTER_NOT_FOUND', 'applied'])
    expect(states['applied']).toBe(planned)
    await verified()
  })

  test('what was removed behind its back is made again, with no new assignment', async () => {
    await store(backend, image)
    await runOnce(agent)
    await assign([planned])
    await runOnce(agent)
    await removeChain(backend, image, 'overlayfs')
    const result = await runOnce(agent)
    expect(result).toMatchObject({ changed: false, plans: [{ state: 'applied', ready: false }] })
    await verified()
  })

  test('a plan that was tampered with on disk is fetched again, and one that the server swaps is refused', async () => {
    await store(backend, image)
    await runOnce(agent)
    await assign([planned])
    await runOnce(agent)
    const file = join(stateDirectory, 'plans', `${planned.replace(':', '-')}.json`)
    const other = planOf(image, { snapshotter: 'overlayfs', labels: 'off' })
    await writeFile(file, other.bytes)
    await removeChain(backend, image, 'overlayfs')
    const swapping: typeof fetch = async (url, init) => {
      if (!String(url).includes('/v1/plans/')) return fetch(url, init)
      return new Response(other.bytes as BodyInit, { headers: { 'content-type': 'application/json' } })
    }
    const refused = await runOnce({ ...agent, fetch: swapping })
    expect(refused.plans).toMatchObject([{ state: 'failed', error: { code: 'DIGEST_MISMATCH' } }])
    expect((await runOnce(agent)).plans).toMatchObject([{ state: 'applied' }])
    await verified()
    expect(Buffer.from(await readFile(file)).equals(Buffer.from(other.bytes))).toBe(false)
  })

  test('a machine without a join token does not become a node, and an operator can send a node away', async () => {
    const { joinToken: _, ...poor } = agent
    expect(await failure(runOnce(poor))).toMatchObject({ code: 'TOKEN_MISSING' })
    await runOnce(agent)
    await operator.removeNode((await node())?.id ?? '')
    expect(await failure(runOnce(poor))).toMatchObject({ code: 'TOKEN_INVALID' })
    expect(await failure(runAgent(poor))).toMatchObject({ code: 'TOKEN_INVALID' })
    // With the token at hand it comes back by itself.
    await runOnce(agent)
    expect(await node()).toBeDefined()
  })

  test('an enrolment whose answer was lost is asked for again, and gives the same node', async () => {
    const lossy: typeof fetch = async (url, init) => {
      const answer = await fetch(url, init)
      if (init?.method === 'POST' && String(url).endsWith('/v1/nodes')) throw new TypeError('the line went dead')
      return answer
    }
    expect(await failure(runOnce({ ...agent, fetch: lossy }))).toMatchObject({ code: 'SERVER_UNREACHABLE' })
    const { id } = (await node()) ?? {}
    expect(id).toBeDefined()
    await runOnce(agent)
    expect((await node())?.id).toBe(id)
  })

  test('an agent goes on through a server that goes away and comes back, until it is stopped', async () => {
    await store(backend, image)
    await runOnce(agent)
    const stop = new AbortController()
    const events: AgentEvent[] = []
    const seen = (type: AgentEvent['type']) => events.filter((event) => event.type === type).length
    const waitFor = async (condition: () => boolean) => {
      for (const deadline = Date.now() + 30_000; !condition() && Date.now() < deadline;) {
        await new Promise((done) => setTimeout(done, 20))
      }
      expect(condition()).toBe(true)
    }
    const running = runAgent({ ...agent, signal: stop.signal, onEvent: (event) => events.push(event) })
    await waitFor(() => seen('waiting') > 1)
    const port = Number(new URL(server.url).port)
    await server.close()
    await waitFor(() => seen('failed') > 0)
    server = await start(port)
    await assign([planned])
    await waitFor(() => seen('reported') > 0)
    stop.abort()
    await running
    await verified()
    expect((await node())?.plans).toMatchObject([{ state: 'applied' }])
  })

  describe.skipIf(containerdMissing !== undefined)(
    `with a containerd node beside it ${containerdMissing ?? ''}`,
    () => {
      let containerd: TestContainerd

      beforeAll(async () => {
        containerd = await startContainerd({ version: '1.6' })
      })
      afterAll(() => containerd?.stop())

      test('two nodes are made ready by one assignment each, and the operator sees both', async () => {
        const other = await containerd.connect()
        const native = await keepPlan(image, 'native')
        await store(backend, image)
        await store(other, image)
        const second: AgentOptions = {
          ...agent,
          backend: other,
          name: `${agent.name}-containerd`,
          stateDirectory: `${stateDirectory}-containerd`,
          labels: { name: `${agent.name}-containerd` },
          applier: 'own',
        }
        await assign([planned])
        await assign([native], second.name)
        const [one, two] = await Promise.all([runOnce(agent), runOnce(second)])
        expect(one.plans).toMatchObject([{ digest: planned, state: 'applied' }])
        expect(two.plans).toMatchObject([{ digest: native, state: 'applied' }])
        await verified()
        await verified(other, 'native')
        const seen = await node(second.name)
        expect(seen).toMatchObject({ facts: { backend: 'containerd' }, plans: [{ digest: native, state: 'applied' }] })
        expect(seen?.facts.containerdVersion).toMatch(/1\.6/)
        expect(seen?.facts.snapshotters).toEqual(expect.arrayContaining(['native', 'overlayfs']))
        // devmapper is listed by the daemon, with an error.
        expect(seen?.facts.snapshotters).not.toContain('devmapper')
      })
    },
  )
})
