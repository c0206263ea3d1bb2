import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openNodeBackend } from '../../functions/agent/node-backend.ts'
import { LayercastError } from '../../functions/errors.ts'
import type { Backend } from '../../functions/node/ports.ts'
import { failure } from '../runner/unpack/support/failure.ts'

const BACKEND = { kind: 'containerd' } as Backend
const away = new LayercastError('CONTAINERD_UNREACHABLE', 'nobody there')
const { signal } = new AbortController()

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-node-backend-'))
})
afterEach(() => rm(directory, { recursive: true }))

const joinedWith = (text: string) => writeFile(join(directory, 'node.json'), text)
const kindOf = async (named = false): Promise<string> => {
  let asked: string | undefined
  const open = (kind: 'containerd' | undefined): Promise<Backend> => {
    asked = kind ?? 'whatever is there'
    return Promise.resolve(BACKEND)
  }
  await openNodeBackend({ open, named, stateDirectory: directory, signal })
  return asked ?? ''
}

describe("an agent's backend", () => {
  test('stays that of the node that has joined', async () => {
    await joinedWith('{"backend":"containerd"}')
    expect(await kindOf()).toBe('containerd')
    await joinedWith('{"backend":"embedded"}')
    expect(await kindOf()).toBe('whatever is there')
  })

  test('is what the user names', async () => {
    await joinedWith('{"backend":"containerd"}')
    expect(await kindOf(true)).toBe('whatever is there')
  })

  test.each(['{', 'null', '{}', '"x"'])('goes by the machine where the state is %s', async (text) => {
    const before = await kindOf()
    await joinedWith(text)
    expect(await kindOf()).toBe(before)
  })

  test('is waited for, and told, only where that was asked for', async () => {
    let tries = 0
    const open = (): Promise<Backend> => (++tries < 2 ? Promise.reject(away) : Promise.resolve(BACKEND))
    const told: unknown[] = []
    const options = { open, named: true, stateDirectory: directory, signal }
    expect(await failure(openNodeBackend(options))).toBe(away)
    tries = 0
    await openNodeBackend({ ...options, onWait: (error) => told.push(error) })
    expect(told).toEqual([away])
  })

  test('is not waited for once the agent is told to stop, nor where it fails of something else', async () => {
    const stop = new AbortController()
    const options = { named: true, stateDirectory: directory, onWait: () => stop.abort() }
    const never = openNodeBackend({ ...options, open: () => Promise.reject(away), signal: stop.signal })
    expect(await failure(never)).toMatchObject({ code: 'ABORTED' })
    const usage = new LayercastError('USAGE', 'no')
    expect(await failure(openNodeBackend({ ...options, open: () => Promise.reject(usage), signal }))).toBe(usage)
  })
})
