import { chmod, chown, lstat, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { listenAt } from '../../functions/cri-proxy/socket-file.ts'

let directory: string
let servers: Server[]
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-socket-'))
  servers = []
})
afterEach(async () => {
  await Promise.all(servers.map((one) => new Promise((resolve) => one.close(resolve))))
  await rm(directory, { recursive: true, force: true })
})

function server(): Server {
  const made = createServer((socket) => {
    // Who only looks whether somebody is there does not read.
    socket.on('error', () => undefined)
    socket.end('here')
  })
  servers.push(made)
  return made
}
async function listening(path: string): Promise<Server> {
  const made = server()
  await new Promise<void>((resolve) => made.listen(path, resolve))
  return made
}
async function said(path: string): Promise<string> {
  let text = ''
  const socket = connect(path)
  for await (const part of socket) text += String(part)
  return text
}

test('the socket has the mode and owner of the one that it stands before', async () => {
  const [upstream, path] = [join(directory, 'containerd.sock'), join(directory, 'cri.sock')]
  await listening(upstream)
  await chmod(upstream, 0o620)
  await chown(upstream, 0, 4242)
  const socket = await listenAt(server(), path, upstream)
  const { mode, gid } = await stat(path)
  expect([(mode & 0o777).toString(8), gid]).toEqual(['620', 4242])
  expect(await said(path)).toBe('here')
  socket.remove()
  await expect(lstat(path)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('where containerd is not there yet, root and its group may connect', async () => {
  const path = join(directory, 'cri.sock')
  await listenAt(server(), path, join(directory, 'none.sock'))
  expect(((await stat(path)).mode & 0o777).toString(8)).toBe('660')
})

test('a socket that nobody serves is taken over; one that is served, or a file, is not', async () => {
  const [path, file] = [join(directory, 'cri.sock'), join(directory, 'file')]
  const { promise: died, resolve } = Promise.withResolvers<void>()
  const { spawn } = await import('node:child_process')
  const child = spawn(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
  ])
  child.stdout.once('data', () => child.kill('SIGKILL'))
  child.once('close', () => resolve())
  await died
  expect((await lstat(path)).isSocket()).toBe(true)

  const socket = await listenAt(server(), path, path)
  expect(await said(path)).toBe('here')
  await expect(listenAt(server(), path, path)).rejects.toMatchObject({ code: 'PORT_IN_USE' })
  await writeFile(file, 'mine')
  await expect(listenAt(server(), file, path)).rejects.toMatchObject({ code: 'PORT_IN_USE' })
  expect(await said(path)).toBe('here')

  // What another put in its place meanwhile is not removed.
  await rm(path)
  await listening(path)
  socket.remove()
  expect(await said(path)).toBe('here')
})
