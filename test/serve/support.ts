/** Servers of a test: each on a directory that goes with it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { createClient } from '../../functions/contract/client.ts'
import { serve, type Served, type ServeOptions } from '../../functions/serve/serve.ts'

export interface Servers {
  /** The test's directory, and the data of a server that is told of no other. */
  readonly root: string
  start(options?: Partial<ServeOptions>): Promise<Served>
  /** Ends one; those that are left are ended with the test. */
  stop(server: Served): Promise<void>
}

/** Gives each test of the file a directory of its own, and ends the servers that it started. */
export function useServers(): Servers {
  let root = ''
  const running = new Set<Served>()
  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'layercast-serve-'))
  })
  afterEach(async () => {
    for (const server of running) await server.close()
    running.clear()
    await rm(root, { recursive: true, force: true })
  })
  return {
    get root() {
      return root
    },
    async start(options = {}) {
      const server = await serve({ root, log: () => undefined, ...options })
      running.add(server)
      return server
    },
    async stop(server) {
      running.delete(server)
      await server.close()
    },
  }
}

/** A client with the token of the server's operator. */
export async function operatorOf(server: Served): Promise<ReturnType<typeof createClient>> {
  const token = (await readFile(server.operatorTokenFile, 'utf8')).trim()
  return createClient({ server: server.url, token })
}
