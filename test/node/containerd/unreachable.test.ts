import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { connectContainerd } from '../../../functions/node/containerd/backend.ts'

let directory: string
let socket: string
const servers: Server[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-unreachable-'))
  socket = join(directory, 'containerd.sock')
})
afterEach(async () => {
  for (const server of servers.splice(0)) server.close()
  vi.unstubAllEnvs()
  await rm(directory, { recursive: true })
})

const listen = (server: Server): Promise<void> => {
  servers.push(server)
  return new Promise((resolve) => {
    server.listen(socket, resolve)
  })
}
const unreachable = (words: RegExp | string): object =>
  expect.objectContaining({
    code: 'CONTAINERD_UNREACHABLE',
    message: expect.stringMatching(words),
    fix: expect.stringContaining('--address'),
    cause: expect.anything(),
    exit: 4,
  })

test('no socket', async () => {
  await expect(connectContainerd({ address: socket })).rejects.toEqual(unreachable(/ENOENT/))
})

test('a file that is no socket', async () => {
  await writeFile(socket, '')
  await expect(connectContainerd({ address: socket })).rejects.toEqual(unreachable(/ECONNREFUSED/))
})

test('a socket whose server hangs up', async () => {
  await listen(createServer((connection) => connection.end('hello\n')))
  await expect(connectContainerd({ address: socket })).rejects.toEqual(unreachable(socket))
})

test('a server of HTTP/1', async () => {
  await listen(createHttpServer((_, response) => response.end('hello')))
  await expect(connectContainerd({ address: socket })).rejects.toEqual(unreachable(socket))
})

test('a server of HTTP/2 that is not gRPC', async () => {
  await listen(createHttp2Server((_, response) => response.writeHead(404).end()))
  await expect(connectContainerd({ address: socket })).rejects.toEqual(unreachable(/404/))
})

test('a gRPC server that is not containerd', async () => {
  const server = createHttp2Server((_, response) => {
    response.writeHead(200, { 'content-type': 'application/grpc+proto', 'grpc-status': '12' }).end()
  })
  await listen(server)
  await expect(connectContainerd({ address: socket })).rejects.toEqual(unreachable(/not containerd/))
})

test('the address of the environment, with or without its scheme', async () => {
  vi.stubEnv('CONTAINERD_ADDRESS', `unix://${socket}`)
  await expect(connectContainerd()).rejects.toEqual(unreachable(`unix://${socket}: connect ENOENT ${socket}`))
})
