/** Which sockets the proxy serves and stands before, as users name them: by paths, by addresses, by the environment. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { errorOf, layercast, start } from '../../support/layercast.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-cri-proxy-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

/** What the proxy says first; it is ended then. */
async function listening(options: readonly string[], env: Record<string, string> = {}): Promise<unknown> {
  const child = start(['cri-proxy', '--log-format', 'json', ...options], { env })
  let log = ''
  child.stdout.resume()
  for await (const text of child.stderr.setEncoding('utf8')) {
    log += String(text)
    if (log.includes('\n')) child.kill('SIGTERM')
  }
  const { type, listen, upstream } = JSON.parse(log.split('\n')[0] ?? '') as Record<string, unknown>
  return { type, listen, upstream }
}

test('sockets are named by paths, or by addresses as the kubelet and crictl have them', async () => {
  const [listen, upstream] = [join(directory, 'cri.sock'), join(directory, 'containerd.sock')]
  const expected = { type: 'listening', listen, upstream }
  expect(await listening(['--listen', listen, '--upstream', upstream])).toEqual(expected)
  expect(await listening(['--listen', `unix://${listen}`, '--upstream', `unix://${upstream}`])).toEqual(expected)
})

test("containerd's socket is --upstream, else --address, else CONTAINERD_ADDRESS, else containerd's own", async () => {
  const listen = join(directory, 'cri.sock')
  const env = { CONTAINERD_ADDRESS: join(directory, 'environment.sock') }
  const upstreamOf = async (options: readonly string[], given = env) =>
    ((await listening(['--listen', listen, ...options], given)) as { upstream: string }).upstream
  expect(await upstreamOf(['--upstream', '/a.sock', '--address', '/b.sock'])).toBe('/a.sock')
  expect(await upstreamOf(['--address', '/b.sock'])).toBe('/b.sock')
  expect(await upstreamOf([])).toBe(env.CONTAINERD_ADDRESS)
  expect(await upstreamOf([], { CONTAINERD_ADDRESS: '' })).toBe('/run/containerd/containerd.sock')
})

test('what is none of the choices is a mistake of usage, and nothing is served', async () => {
  for (const option of ['--on-failure', '--log-format']) {
    const ran = await layercast(['-o', 'json', 'cri-proxy', '--listen', join(directory, 'cri.sock'), option, 'none'])
    expect(ran.status).toBe(2)
    expect(errorOf(ran)).toMatchObject({ code: 'USAGE', message: expect.stringContaining(option) })
  }
})
