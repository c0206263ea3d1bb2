import type { ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { plan } from '../../../functions/library.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { programs } from '../../support/containerd/versions.ts'
import { digestOf } from '../../support/images/image.ts'
import { writeOciArchive, writeOciLayout } from '../../support/images/write.ts'
import { errorOf, layercast, start, type Ran } from '../../support/layercast.ts'

const NAME = 'example.com/fleet:1'
const found = await programs('1.6')
const missing = 'missing' in found ? ` (skipped: ${found.missing})` : ''

interface NodeRow {
  name: string
  labels: Record<string, string>
  facts: { backend: string; snapshotters: string[] }
  plans: { reference: string; snapshotter: string; state: string; chainID?: string; error?: { code: string } }[]
}

// One story, told in order: a server, two nodes of two kinds, one image for each of them.
describe.skipIf(missing !== '')(`a fleet of two nodes, through the program${missing}`, () => {
  const image = smallImage('fleet')
  let directory: string
  let containerd: TestContainerd
  let server: ChildProcess
  let env: Record<string, string>
  let joinToken: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-fleet-'))
    containerd = await startContainerd({ version: '1.6' })
    const archive = join(directory, 'image.tar')
    await writeOciArchive(image, archive, { ref: '1' })
    await containerd.importArchive(archive, { baseName: 'example.com/fleet', snapshotter: 'overlayfs' })
    await writeOciLayout(image, join(directory, 'layout'))
    await startServer()
  })
  afterAll(async () => {
    await stopServer()
    await containerd?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  async function startServer(port = '0'): Promise<void> {
    const child = start(['serve', '--data', join(directory, 'server'), '--port', port, '-o', 'json'])
    server = child
    const text = await new Promise<string>((resolve, reject) => {
      let said = ''
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        if (said.endsWith('}\n')) resolve(said)
      })
      let complaint = ''
      child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
      child.on('close', (status) => reject(new Error(`serve ended with ${status}: ${complaint}`)))
    })
    const { url, operatorTokenFile } = JSON.parse(text) as { url: string; operatorTokenFile: string }
    env = { LAYERCAST_SERVER: url, LAYERCAST_TOKEN: `@${operatorTokenFile}` }
  }

  async function stopServer(): Promise<number | null> {
    if (server === undefined || server.exitCode !== null) return null
    const ended = new Promise<number | null>((resolve) => {
      server.on('close', resolve)
    })
    server.kill('SIGINT')
    return ended
  }

  const operator = (args: string[]): Promise<Ran> => layercast(args, { env })
  const data = <T>(ran: Ran): T => {
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    return JSON.parse(ran.stdout.toString()) as T
  }
  const nodes = async (): Promise<NodeRow[]> => data(await operator(['node', 'ls', '-o', 'json']))

  /** One round of the agent of one of the two nodes. Only the server's address is taken from the operator. */
  const round = (node: 'embedded' | 'containerd', extra: string[] = []): Promise<Ran> => {
    const where = node === 'embedded' ? ['--root', join(directory, 'node')] : ['--address', containerd.address]
    const args = ['agent', '--once', '--name', node, '--state', join(directory, `agent-${node}`), ...where, ...extra]
    return layercast(args, { env: { LAYERCAST_SERVER: env['LAYERCAST_SERVER'] ?? '' } })
  }

  test('the server keeps its operator token to itself', async () => {
    const file = (env['LAYERCAST_TOKEN'] ?? '').slice(1)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const refused = await layercast(['node', 'ls', '-o', 'json'], {
      env: { LAYERCAST_SERVER: env['LAYERCAST_SERVER'] ?? '' },
    })
    expect([refused.status, errorOf(refused).code]).toEqual([1, 'TOKEN_MISSING'])
    const wrong = await layercast(['node', 'ls', '-o', 'json'], {
      env: { ...env, LAYERCAST_TOKEN: `lc_operator_${'0'.repeat(16)}_${'a'.repeat(43)}` },
    })
    expect([wrong.status, errorOf(wrong).code]).toEqual([1, 'TOKEN_INVALID'])
  })

  test('a join token is printed alone, so that a shell can take it', async () => {
    const ran = await operator(['join-token', 'create', '--ttl', '1h', '--max-uses', '2', '--note', 'both'])
    expect(ran.status).toBe(0)
    joinToken = ran.stdout.toString().trim()
    expect(joinToken).toMatch(/^\S+$/u)
    const listed = data<{ note: string; uses: number; state: string }[]>(
      await operator(['join-token', 'ls', '-o', 'json']),
    )
    expect(listed).toEqual([expect.objectContaining({ note: 'both', uses: 0, state: 'usable' })])
  })

  test('a machine without a join token is told to get one, and one with a wrong token stays out', async () => {
    const without = await round('embedded', ['-o', 'json'])
    expect([without.status, errorOf(without).code]).toEqual([1, 'TOKEN_MISSING'])
    const operatorToken = (await readFile((env['LAYERCAST_TOKEN'] ?? '').slice(1), 'utf8')).trim()
    const wrong = await round('embedded', ['--join-token', operatorToken, '-o', 'json'])
    expect([wrong.status, errorOf(wrong).code]).toEqual([1, 'TOKEN_SCOPE'])
    expect(await nodes()).toEqual([])
  })

  test('two machines join, one with containerd and one without', async () => {
    const tokenFile = join(directory, 'join-token')
    await writeFile(tokenFile, `${joinToken}\n`)
    const embedded = await round('embedded', [
      '--join-token',
      `@${tokenFile}`,
      '--label',
      'pool=plain',
      '--label',
      'zone=a',
    ])
    expect(embedded).toMatchObject({ status: 0, stderr: expect.stringContaining('joined') as string })
    expect((await round('containerd', ['--join-token', joinToken, '--label', 'pool=native'])).status).toBe(0)
    expect((await nodes()).map(({ name, labels, facts }) => [name, labels, facts.backend])).toEqual([
      ['containerd', { pool: 'native' }, 'containerd'],
      ['embedded', { pool: 'plain', zone: 'a' }, 'embedded'],
    ])
  })

  test('an image is assigned by selector, to the nodes that match and no other', async () => {
    const layout = `oci:${join(directory, 'layout')}`
    const toEmbedded = [
      'assign',
      layout,
      '--reference',
      NAME,
      '-s',
      'overlayfs',
      '--selector',
      'pool=plain,zone=a',
      '-o',
      'json',
    ]
    expect(data(await operator(toEmbedded))).toMatchObject({ nodes: 1 })
    const assigned = await layercast(['assign', NAME, '-s', 'native', '--selector', 'pool=native', '-o', 'json'], {
      env: { ...env, ...containerd.env },
    })
    expect(data(assigned)).toMatchObject({ nodes: 1, plans: [{ reference: NAME, snapshotter: 'native' }] })
    expect((await nodes()).map(({ plans }) => plans.map(({ snapshotter, state }) => [snapshotter, state]))).toEqual([
      [['native', 'pending']],
      [['overlayfs', 'pending']],
    ])
    expect(data<unknown[]>(await operator(['assignment', 'ls', '-o', 'json']))).toHaveLength(2)
  })

  test('a node that does not have the image fails with status 3 and reports why', async () => {
    const ran = await round('embedded', ['-o', 'json'])
    expect([ran.status, errorOf(ran).code]).toEqual([3, 'IMAGE_NOT_FOUND'])
    const [, embedded] = await nodes()
    expect(embedded?.plans).toMatchObject([{ state: 'failed', error: { code: 'IMAGE_NOT_FOUND' } }])
    expect((await operator(['node', 'ls'])).stdout.toString()).toContain('IMAGE_NOT_FOUND')
  })

  test('each node carries out its plan and reports it', async () => {
    const root = join(directory, 'node')
    const imported = await layercast([
      'image',
      'import',
      `oci:${join(directory, 'layout')}`,
      '--reference',
      NAME,
      '--root',
      root,
    ])
    expect([imported.status, imported.stderr]).toEqual([0, ''])
    for (const node of ['embedded', 'containerd'] as const) expect(await round(node)).toMatchObject({ status: 0 })
    const rows = await nodes()
    expect(rows.map(({ plans }) => plans.map(({ state, chainID, reference }) => [state, chainID, reference]))).toEqual(
      rows.map(() => [['applied', image.chainIDs.at(-1), NAME]]),
    )
    const verified = [
      await layercast(['verify', NAME, '-s', 'native'], { env: containerd.env }),
      await layercast(['verify', NAME, '-s', 'overlayfs', '--root', root]),
    ]
    expect(verified.map(({ status }) => status)).toEqual([0, 0])
    const table = (await operator(['node', 'ls'])).stdout.toString()
    expect(table).toMatch(/^containerd .*pool=native +example\.com\/fleet:1 +native +\w{12} +applied$/mu)
  })

  test('a further round finds it all ready', async () => {
    const ran = await round('containerd', ['-o', 'json'])
    expect(ran).toMatchObject({ status: 0, stderr: `${NAME} under native: is ready\n` })
    expect(JSON.parse(ran.stdout.toString())).toMatchObject({
      changed: false,
      plans: [{ state: 'applied', ready: true }],
    })
  })

  test('the same input gives the same plan from the program, the Worker and the library', async () => {
    const [manifest, config] = [join(directory, 'm.json'), join(directory, 'c.json')]
    await writeFile(manifest, image.manifestBytes)
    await writeFile(config, image.configBytes)
    for (const snapshotter of ['native', 'overlayfs', 'nydus', 'stargz']) {
      const args = [
        'plan',
        '--manifest',
        manifest,
        '--config',
        config,
        '--reference',
        NAME,
        '-s',
        snapshotter,
        '-o',
        'json',
      ]
      const local = await layercast(args)
      const served = await operator([...args, '--server', env['LAYERCAST_SERVER'] ?? ''])
      const library = plan({ reference: NAME, manifest: image.manifestBytes, config: image.configBytes, snapshotter })
      expect([local.status, local.stderr, served.status, served.stderr]).toEqual([0, '', 0, ''])
      expect(local.stdout).toEqual(Buffer.from(library.bytes))
      expect(served.stdout).toEqual(Buffer.from(library.bytes))
      expect(digestOf(local.stdout)).toBe(library.digest)
    }
  })

  test('what the server refuses has the same code as what is refused here', async () => {
    const args = [
      'plan',
      '--manifest',
      join(directory, 'm.json'),
      '--config',
      join(directory, 'm.json'),
      '--reference',
      NAME,
      '-s',
      'x',
      '-o',
      'json',
    ]
    const local = await layercast(args)
    const served = await operator([...args, '--server', env['LAYERCAST_SERVER'] ?? ''])
    expect(errorOf(local).code).toBe('DIGEST_MISMATCH')
    expect([served.status, errorOf(served).code]).toEqual([local.status, errorOf(local).code])
  })

  test('a server that was stopped and started again still knows its fleet', async () => {
    const { port } = new URL(env['LAYERCAST_SERVER'] ?? '')
    expect(await stopServer()).toBe(0)
    const gone = await round('containerd', ['-o', 'json'])
    expect([gone.status, errorOf(gone).code]).toEqual([4, 'SERVER_UNREACHABLE'])
    await startServer(port)
    expect((await nodes()).map(({ name }) => name)).toEqual(['containerd', 'embedded'])
    expect((await round('containerd')).status).toBe(0)
  })

  test('an agent that goes on stops cleanly at SIGTERM', async () => {
    const state = join(directory, 'agent-containerd')
    const child = start(['agent', '--state', state, '--address', containerd.address, '--interval', '1s', '--verbose'], {
      env: { LAYERCAST_SERVER: env['LAYERCAST_SERVER'] ?? '' },
    })
    let said = ''
    const waiting = new Promise<void>((resolve) => {
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        if (said.includes('asking again')) resolve()
      })
    })
    const ended = new Promise<number | null>((resolve) => {
      child.on('close', resolve)
    })
    await Promise.race([waiting, ended])
    child.kill('SIGTERM')
    expect([await ended, said]).toEqual([0, expect.stringContaining('asking again')])
  })

  test('a revoked join token lets nobody in, and a removed node is out', async () => {
    const [token] = data<{ id: string }[]>(await operator(['join-token', 'ls', '-o', 'json']))
    expect((await operator(['join-token', 'revoke', token?.id ?? ''])).status).toBe(0)
    const late = await layercast(
      [
        'agent',
        '--once',
        '--name',
        'late',
        '--state',
        join(directory, 'agent-late'),
        '--root',
        join(directory, 'late'),
        '--join-token',
        joinToken,
        '-o',
        'json',
      ],
      { env: { LAYERCAST_SERVER: env['LAYERCAST_SERVER'] ?? '' } },
    )
    expect([late.status, errorOf(late).code]).toEqual([1, 'TOKEN_REVOKED'])
    expect((await operator(['node', 'rm', 'embedded'])).status).toBe(0)
    const removed = await round('embedded', ['-o', 'json'])
    expect([removed.status, errorOf(removed).code]).toEqual([1, 'TOKEN_INVALID'])
    expect(errorOf(removed).fix).toContain('--join-token')
    expect((await nodes()).map(({ name }) => name)).toEqual(['containerd'])
    const nobody = await operator(['node', 'rm', 'embedded', '-o', 'json'])
    expect([nobody.status, errorOf(nobody).code]).toEqual([3, 'NOT_FOUND'])
  })
})
