import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { configOption, findDaemon } from '../../../functions/node/containerd-config/find-daemon.ts'

test.each([
  ['--config /a.toml', '/a.toml'],
  ['--config=/a.toml', '/a.toml'],
  ['-c /a.toml', '/a.toml'],
  ['-c=/a=b.toml', '/a=b.toml'],
  ['-config /a.toml', '/a.toml'],
  ['--log-level debug --config /a.toml', '/a.toml'],
  ['--log-level -c --root /r', undefined],
  ['--address /run/c.sock', undefined],
  ['-c /a.toml -c /b.toml', '/b.toml'],
  ['config dump -c /a.toml', undefined],
  ['-- -c /a.toml', undefined],
  ['', undefined],
])("a daemon's `containerd %s` reads %s", (line, path) => {
  expect(configOption(line.split(' '))).toBe(path)
})

test('a daemon that does not say its process is found by the socket that it holds, through a link too', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'layercast-listener-'))
  const path = join(directory, 'real.sock')
  const link = join(directory, 'link.sock')
  const server = createServer()
  try {
    await new Promise<void>((resolve) => {
      server.listen(path, resolve)
    })
    symlinkSync(path, link)
    for (const address of [path, `unix://${path}`, link]) {
      const found = await findDaemon({ address, process: () => Promise.resolve(undefined) })
      expect(found).toMatchObject({ pid: process.pid })
      expect(Math.abs((found?.startedAt.getTime() ?? 0) - (Date.now() - process.uptime() * 1000))).toBeLessThan(5_000)
    }
    const nobody = join(directory, 'nobody.sock')
    expect(await findDaemon({ address: nobody, process: () => Promise.resolve(undefined) })).toBeUndefined()
  } finally {
    server.close()
    rmSync(directory, { recursive: true, force: true })
  }
})

test('a process of another PID namespace is not looked up in this one', async () => {
  const said = { pid: process.pid, pidNamespace: 1 }
  expect(await findDaemon({ address: '', process: () => Promise.resolve(said) })).toBeUndefined()
})
