import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openBackend } from '../../functions/node/open.ts'
import { failure } from '../runner/unpack/support/failure.ts'

let directory: string
const environment = { ...process.env }

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-backend-'))
  delete process.env['CONTAINERD_ADDRESS']
})
afterEach(async () => {
  process.env = { ...environment }
  await rm(directory, { recursive: true })
})

test('a root is the embedded backend', async () => {
  const backend = await openBackend({ root: join(directory, 'root') })
  expect(backend.kind).toBe('embedded')
  await backend.close()
})

test('a named backend is taken at its word, whatever the environment says', async () => {
  process.env['CONTAINERD_ADDRESS'] = join(directory, 'nosuch.sock')
  const backend = await openBackend({ backend: 'embedded', root: join(directory, 'root') })
  expect(backend.kind).toBe('embedded')
  await backend.close()
})

test('an address that nobody serves is an error, never a silent change to another store', async () => {
  const address = join(directory, 'nosuch.sock')
  expect(await failure(openBackend({ address }))).toMatchObject({ code: 'CONTAINERD_UNREACHABLE', exit: 4 })
  process.env['CONTAINERD_ADDRESS'] = address
  expect(await failure(openBackend())).toMatchObject({ code: 'CONTAINERD_UNREACHABLE', detail: { address } })
  expect(await failure(openBackend({ backend: 'containerd' }))).toMatchObject({ code: 'CONTAINERD_UNREACHABLE' })
})

test('something else behind the socket is an error too', async () => {
  const address = join(directory, 'other.sock')
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((listening) => server.listen(address, listening))
  try {
    expect(await failure(openBackend({ address }))).toMatchObject({ code: 'CONTAINERD_UNREACHABLE' })
  } finally {
    await new Promise((closed) => server.close(closed))
  }
})

test('a root beside an address says which of them to leave away', async () => {
  const error = await failure(openBackend({ root: directory, address: '/run/x.sock' }))
  expect(error).toMatchObject({ code: 'USAGE', exit: 2 })
  expect(error.fix).toContain('--root and --address')
})

test.each([
  ['containerd', { root: '/somewhere' }, '--root'],
  ['embedded', { address: '/run/x.sock' }, '--address'],
] as const)('%s refuses what only the other backend has a use for', async (backend, options, flag) => {
  const error = await failure(openBackend({ backend, ...options }))
  expect(error).toMatchObject({ code: 'USAGE', exit: 2, fix: expect.stringContaining(flag) as string })
})

test.each(['root', 'address'])(
  'an empty %s, as of a variable that is not set, is not the current directory',
  async (name) => {
    expect(await failure(openBackend({ backend: 'embedded', [name]: '' }))).toMatchObject({ code: 'USAGE', exit: 2 })
  },
)

test('a root that cannot be one is an error of the family', async () => {
  await writeFile(join(directory, 'file'), '')
  expect(await failure(openBackend({ root: join(directory, 'file', 'root') }))).toMatchObject({ exit: 1 })
})
