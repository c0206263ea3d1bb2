import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runOnce, type AgentOptions } from '../../../functions/agent/agent.ts'
import { createClient, type Client } from '../../../functions/contract/client.ts'
import type { Digest } from '../../../functions/image/digest.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { serve, type Served } from '../../../functions/serve/serve.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { REFERENCE } from '../../runner/unpack/support/plans.ts'
import { store } from '../../runner/unpack/support/stores.ts'

describe.skipIf(process.getuid?.() !== 0)('a server that was set back to a backup (as root)', () => {
  let directory: string
  let data: string
  let server: Served
  let operator: Client
  let backend: Backend
  let agent: AgentOptions
  const other = { one: smallImage('one'), two: smallImage('two') }

  const start = async (port = 0) => {
    server = await serve({ root: data, port, log: () => undefined })
    operator = createClient({ server: server.url, token: (await readFile(server.operatorTokenFile, 'utf8')).trim() })
  }
  const port = () => Number(new URL(server.url).port)
  /** With the server stopped, as a backup is to be made. */
  const backUp = async () => {
    const at = port()
    await server.close()
    await cp(data, `${data}-backup`, { recursive: true })
    await start(at)
  }
  const putBack = async () => {
    const at = port()
    await server.close()
    await rm(data, { recursive: true })
    await cp(`${data}-backup`, data, { recursive: true })
    await start(at)
  }
  const keepPlan = async ({ manifestBytes: manifest, configBytes: config }: typeof other.one): Promise<Digest> =>
    (await operator.plan({ reference: REFERENCE, manifest, config, snapshotter: 'overlayfs' })).digest
  const assign = async (digest: Digest) => await operator.assign({ selector: '*', plans: [digest] })
  const shown = async () => (await operator.nodes({ limit: 10 })).items[0]

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-restored-'))
    data = join(directory, 'server')
    await start()
    backend = await openEmbedded({ root: join(directory, 'root') })
    await store(backend, other.one)
    const { token: joinToken } = await operator.createJoinToken({})
    agent = { backend, server: server.url, joinToken, name: 'n', stateDirectory: join(directory, 'state') }
  })
  afterEach(async () => {
    await backend.close()
    await server.close()
    await rm(directory, { recursive: true })
  })

  test('whose generations come round is heard all the same', async () => {
    const one = await keepPlan(other.one)
    await runOnce(agent)
    await backUp()
    const { generation } = await assign(one)
    expect(await runOnce(agent)).toMatchObject({ generation, plans: [{ digest: one, state: 'applied' }] })
    await putBack()
    const two = await keepPlan(other.two)
    // The same number again, for something else, before the agent has asked in between.
    expect((await assign(two)).generation).toBe(generation)
    expect(await runOnce(agent)).toMatchObject({ generation, changed: true, plans: [{ digest: two }] })
    expect(await shown()).toMatchObject({ reportedGeneration: generation, plans: [{ digest: two, state: 'failed' }] })
  })

  test('whose generation went back is obeyed and answered', async () => {
    const one = await keepPlan(other.one)
    await assign(one)
    await runOnce(agent)
    await backUp()
    await assign(await keepPlan(other.two))
    await store(backend, other.two)
    const { generation } = await runOnce(agent)
    await putBack()
    await store(backend, other.one)
    const back = await runOnce(agent)
    expect(back).toMatchObject({ changed: true, plans: [{ digest: one, state: 'applied' }] })
    expect(back.generation).toBeLessThan(generation)
    expect(await shown()).toMatchObject({ reportedGeneration: back.generation, plans: [{ state: 'applied' }] })
  })

  test('is told again what it knew after the backup, though it assigns the same', async () => {
    const one = await keepPlan(other.one)
    await runOnce(agent)
    await assign(one)
    await backUp()
    expect(await runOnce(agent)).toMatchObject({ changed: true, reported: true })
    await putBack()
    expect(await shown()).toMatchObject({ plans: [{ state: 'pending' }] })
    expect(await runOnce(agent)).toMatchObject({ changed: false, reported: true })
    expect(await shown()).toMatchObject({ plans: [{ digest: one, state: 'applied' }] })
    expect(await runOnce(agent)).toMatchObject({ changed: false, reported: false })
  })

  test('is told again what a plan came to in the end, where it knew of a failure', async () => {
    const two = await keepPlan(other.two)
    await assign(two)
    expect(await runOnce(agent)).toMatchObject({ plans: [{ state: 'failed' }] })
    await backUp()
    await store(backend, other.two)
    expect(await runOnce(agent)).toMatchObject({ plans: [{ state: 'applied' }], reported: true })
    await putBack()
    expect(await shown()).toMatchObject({ plans: [{ state: 'failed' }] })
    await runOnce(agent)
    expect(await shown()).toMatchObject({ plans: [{ state: 'applied' }] })
    expect(await runOnce(agent)).toMatchObject({ reported: false })
  })

  test('from before the node joined has it again, by the join token', async () => {
    await backUp()
    const one = await keepPlan(other.one)
    await runOnce(agent)
    await assign(one)
    await runOnce(agent)
    await putBack()
    await assign(await keepPlan(other.one))
    expect(await runOnce(agent)).toMatchObject({ plans: [{ digest: one, state: 'applied' }], reported: true })
    expect(await shown()).toMatchObject({ name: 'n', plans: [{ state: 'applied' }] })
  })
})
