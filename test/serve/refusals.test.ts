import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient } from '../../functions/contract/client.ts'
import { serve } from '../../functions/serve/serve.ts'
import type { Served } from '../../functions/serve/serve.ts'

/** Refusals of bodies that are still being sent, over real connections: what the sender hears. */

const CONFIG = 'application/vnd.oci.image.config.v1+json'
const MIB = 1024 * 1024

let root: string
let server: Served
let token: string

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'layercast-refusals-'))
  server = await serve({ root, log: () => undefined })
  token = (await readFile(server.operatorTokenFile, 'utf8')).trim()
})

afterAll(async () => {
  await server.close()
  await rm(root, { recursive: true, force: true })
})

describe('a body that is refused before it is read', () => {
  // Many times over: without the rest being read, it depends on who is faster.
  const times = Array.from({ length: 5 }, (_, at) => at)

  test.each(times)('for want of a token, the client hears so (%i)', async () => {
    const client = createClient({ server: server.url })
    const kept = client.storeImage({ bytes: new Uint8Array(8 * MIB), mediaType: CONFIG })
    await expect(kept).rejects.toMatchObject({ code: 'TOKEN_MISSING' })
    const manifest = new Uint8Array(6 * MIB)
    const planned = client.plan({ manifest, config: manifest, reference: 'x', snapshotter: 'x' })
    await expect(planned).rejects.toMatchObject({ code: 'TOKEN_MISSING' })
  })

  test.each(times)('for its size, the client hears so (%i)', async () => {
    const client = createClient({ server: server.url, token })
    const kept = client.storeImage({ bytes: new Uint8Array(12 * MIB), mediaType: CONFIG })
    await expect(kept).rejects.toMatchObject({ code: 'REQUEST_TOO_LARGE' })
    const note = 'x'.repeat(8 * MIB)
    await expect(client.createJoinToken({ note })).rejects.toMatchObject({ code: 'REQUEST_TOO_LARGE' })
  })

  test.each(times)('for its type, its path or its method, the client hears so (%i)', async () => {
    const body = new Uint8Array(8 * MIB)
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'text/plain' }
    const asked = await Promise.all([
      fetch(`${server.url}/v1/plans`, { method: 'POST', body, headers }),
      fetch(`${server.url}/none`, { method: 'POST', body, headers }),
      fetch(`${server.url}/v1/nodes`, { method: 'PATCH', body, headers }),
    ])
    expect(asked.map(({ status }) => status)).toEqual([415, 404, 405])
    for (const answer of asked) expect(answer.headers.get('content-type')).toBe('application/problem+json')
  })

  test('a sender that stalls is told all the same, after a while', async () => {
    const { port } = new URL(server.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${MIB}\r\n\r\nhalf`)
    const said = await new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(chunk.toString())))
    socket.destroy()
    expect(said).toMatch(/^HTTP\/1.1 401 /u)
  }, 30_000)
})
