import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { homedir } from 'node:os'
import path from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { serve } from '../../functions/serve/serve.ts'
import type { Served } from '../../functions/serve/serve.ts'
import { start as startProgram } from '../support/layercast.ts'
import { listeningSockets, processTree } from '../support/sockets.ts'
import { useServers } from './support.ts'

/** What a server is to others on its machine, and to a browser there. */

const servers = useServers()

interface Asked {
  method?: string
  path?: string
  headers?: Record<string, string>
}

/** With node:http, which sends the Host and Origin that it is told to. */
function ask(server: Served, { method = 'GET', path: at = '/healthz', headers = {} }: Asked = {}) {
  const { port } = new URL(server.url)
  return new Promise<{ status: number; code?: string }>((resolve, reject) => {
    request({ host: '127.0.0.1', port, method, path: at, headers }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => {
        const { code } = JSON.parse(text) as { code?: string }
        resolve({ status: response.statusCode ?? 0, ...(code === undefined ? {} : { code }) })
      })
    })
      .on('error', reject)
      .end()
  })
}

/** Everything below a directory that anybody but its owner has a right to. */
async function openTo(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true })
  const open: string[] = []
  for (const name of ['.', ...names]) {
    const { mode } = await stat(path.join(directory, name))
    if ((mode & 0o077) !== 0) open.push(`${name} ${(mode & 0o777).toString(8)}`)
  }
  return open
}

describe('what others reach', { timeout: 60_000 }, () => {
  test('one socket listens, of all processes that serve has, and nothing is left in the home or temporary directory', async () => {
    const home = path.join(servers.root, 'home')
    const temporary = path.join(servers.root, 'tmp')
    for (const made of [home, temporary]) await mkdir(made)
    const env = { HOME: home, TMPDIR: temporary, XDG_CONFIG_HOME: path.join(home, '.config') }
    const child = startProgram(['serve', '--data', path.join(servers.root, 'data'), '--port', '0', '-o', 'json'], {
      env,
    })
    const ended = new Promise((resolve) => child.on('close', resolve))
    try {
      const { url } = await new Promise<{ url: string }>((resolve, reject) => {
        let said = ''
        child.stdout.on('data', (chunk: Buffer) => {
          said += chunk.toString()
          if (said.endsWith('}\n')) resolve(JSON.parse(said) as { url: string })
        })
        child.on('close', (status) => reject(new Error(`serve ended with ${status}`)))
      })
      const port = Number(new URL(url).port).toString(16).toUpperCase().padStart(4, '0')
      const tree = await processTree(child.pid ?? 0)
      expect(tree.length).toBeGreaterThan(1)
      expect(await listeningSockets(tree)).toEqual([`tcp 0100007F:${port}`])
      expect([await readdir(home), await readdir(temporary)]).toEqual([[], []])
    } finally {
      child.kill('SIGINT')
      await ended
    }
    expect([await readdir(home), await readdir(temporary)]).toEqual([[], []])
  })

  test('the development registry of other tools is left alone', async () => {
    const registry = path.join(homedir(), '.config', '.wrangler', 'registry')
    const before = existsSync(registry) ? await readdir(registry) : []
    await servers.start()
    expect(existsSync(registry) ? await readdir(registry) : []).toEqual(before)
  })

  test('all that it makes is for its owner, whatever the umask, and what comes later too', async () => {
    const before = process.umask(0)
    try {
      const server = await servers.start({ root: path.join(servers.root, 'data'), openPlanner: true })
      await ask(server, { path: '/v1/snapshotters' })
      expect(await openTo(path.join(servers.root, 'data'))).toEqual([])
      expect(process.umask()).toBe(0)
    } finally {
      process.umask(before)
    }
  })

  test('a data directory that was there open is closed, with all that the server has in it and nothing else', async () => {
    await servers.stop(await servers.start())
    await chmod(servers.root, 0o755)
    for (const name of await readdir(servers.root, { recursive: true })) {
      const { mode } = await stat(path.join(servers.root, name))
      await chmod(path.join(servers.root, name), mode | 0o055)
    }
    await writeFile(path.join(servers.root, 'notes'), '')
    await chmod(path.join(servers.root, 'notes'), 0o644)
    await symlink(path.join(servers.root, 'notes'), path.join(servers.root, 'state', 'link'))
    await servers.start()
    expect(await openTo(servers.root)).toEqual(['notes 644', 'state/link 644'])
  })

  test('a directory that others use is not taken from them', async () => {
    await writeFile(path.join(servers.root, 'notes'), '')
    await chmod(servers.root, 0o755)
    await expect(serve({ root: servers.root })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' })
    await rm(path.join(servers.root, 'notes'))
    await chmod(servers.root, 0o1777)
    await expect(serve({ root: servers.root })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' })
    expect([(await stat(servers.root)).mode & 0o7777, await readdir(servers.root)]).toEqual([0o1777, []])
  })

  test.skipIf(process.getuid?.() !== 0)('a token that another user may have put there is no token', async () => {
    const file = path.join(servers.root, 'operator-token')
    await writeFile(file, `lc_operator_test_${'A'.repeat(43)}\n`)
    const { chown } = await import('node:fs/promises')
    await chown(file, 65534, 65534)
    await expect(serve({ root: servers.root })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' })
    expect(await readFile(file, 'utf8')).toContain('lc_operator_test_')
  })
})

describe('a server that was killed', { timeout: 60_000 }, () => {
  test('keeps its directory as long as its workerd runs, and no longer', async () => {
    const child = startProgram(['serve', '--data', servers.root, '--port', '0', '-o', 'json'])
    await once(child.stdout, 'data')
    const [, workerd] = await processTree(child.pid ?? 0)
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    try {
      await expect(serve({ root: servers.root })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' })
    } finally {
      process.kill(workerd ?? 0, 'SIGKILL')
    }
    // The kernel lets go of its files a moment after it is gone.
    await vi.waitFor(() => servers.start(), { timeout: 20_000 })
  })

  test('says so when workerd ends by itself, and gives the directory free', async () => {
    const child = startProgram(['serve', '--data', servers.root, '--port', '0', '-o', 'json'])
    let complaint = ''
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
    await once(child.stdout, 'data')
    const [, workerd] = await processTree(child.pid ?? 0)
    process.kill(workerd ?? 0, 'SIGKILL')
    const [status] = (await once(child, 'close')) as [number]
    expect([status, complaint]).toEqual([1, expect.stringContaining('SERVER_FAILED')])
    await servers.start()
  })
})

describe('what browsers reach', { timeout: 60_000 }, () => {
  test('a name that is not its own is refused, however it is led here (DNS rebinding)', async () => {
    const server = await servers.start({ openPlanner: true })
    const { port } = new URL(server.url)
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      `127.0.0.1.evil.example:${port}`,
      '192.0.2.1',
      'localhost.',
      'a@127.0.0.1',
      '127.0.0.1, a',
      '127.0.0.1:99999',
    ]) {
      for (const at of ['/healthz', '/v1/snapshotters', '/none']) {
        expect([host, await ask(server, { path: at, headers: { host } })]).toEqual([
          host,
          { status: 403, code: 'HOST_REFUSED' },
        ])
      }
    }
    for (const host of ['localhost', `127.0.0.1:${port}`, `[::1]:${port}`, `LOCALHOST:${port}`]) {
      expect([host, await ask(server, { headers: { host } })]).toEqual([host, { status: 200 }])
    }
  })

  test('an absolute target does not stand for the name', async () => {
    const server = await servers.start({ openPlanner: true })
    expect((await ask(server, { path: 'http://127.0.0.1/healthz', headers: { host: 'evil.example' } })).status).toBe(
      403,
    )
  })

  test('the name of a proxy is let in where it is given, and what is no name is refused at once', async () => {
    const server = await servers.start({ allowHosts: ['plans.example.com', 'OTHER.example.com'] })
    for (const host of ['plans.example.com', 'plans.example.com:443', 'other.example.com']) {
      expect([host, await ask(server, { headers: { host } })]).toEqual([host, { status: 200 }])
    }
    const origin = 'https://plans.example.com'
    expect((await ask(server, { headers: { host: '127.0.0.1', origin } })).status).toBe(200)
    for (const allowHost of ['', 'https://x.example', 'x.example:80', 'x/y', 'a b', 'a@b']) {
      await expect(serve({ root: path.join(servers.root, 'other'), allowHosts: [allowHost] })).rejects.toMatchObject({
        code: 'USAGE',
      })
    }
  })

  test('where it listens on every address it is asked for by any address, and by no name', async () => {
    const server = await servers.start({ host: '0.0.0.0' })
    expect(await ask(server, { headers: { host: '192.0.2.1' } })).toEqual({ status: 200 })
    expect((await ask(server, { headers: { host: 'evil.example' } })).code).toBe('HOST_REFUSED')
  })

  test('a page of another origin is refused, one of another port of this machine too', async () => {
    const server = await servers.start({ openPlanner: true })
    const asked = { method: 'GET', path: '/v1/snapshotters' }
    for (const origin of ['https://evil.example', 'http://127.0.0.1:1', 'http://localhost:3000', 'null', 'x']) {
      expect([origin, await ask(server, { ...asked, headers: { origin } })]).toEqual([
        origin,
        { status: 403, code: 'ORIGIN_REFUSED' },
      ])
    }
    expect((await ask(server, { ...asked, headers: { origin: server.url } })).status).toBe(200)
  })
})
