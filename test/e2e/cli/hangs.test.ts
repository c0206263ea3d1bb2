/** A daemon, or a snapshotter behind it, that takes a call and never answers. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { file } from '../../support/images/entries.ts'
import { buildImage } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { errorOf, layercast, LAUNCHER } from '../../support/layercast.ts'

/** Longer than the clean-up may take, with time for a busy machine to start the program. */
const PROMPT_MS = 30_000

/** Runs the program until this text is on its stderr, sends it the signal, and gives how it ended. */
async function interrupted(args: string[], env: Record<string, string>, said: RegExp, signal: NodeJS.Signals) {
  const child = spawn(LAUNCHER, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr, sentAt] = ['', '', 0]
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    if (sentAt > 0 || !said.test(stderr)) return
    sentAt = performance.now()
    child.kill(signal)
  })
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { status, stdout, stderr, endedAfterMs: performance.now() - sentAt, sent: sentAt > 0 }
}

await describeContainerd('layercast and what never answers', (version) => {
  let directory: string
  let silent: Http2Server
  const sessions = new Set<ServerHttp2Session>()
  let node: TestContainerd
  let env: Record<string, string>
  let spec: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-hangs-'))
    // It accepts every call over HTTP/2 and answers none, like a snapshotter that waits for a disk or a registry.
    silent = createServer()
    silent.on('session', (session) => sessions.add(session))
    silent.on('stream', (stream) => stream.on('error', () => undefined))
    await new Promise<void>((listening) => silent.listen(join(directory, 'hung.sock'), listening))
    node = await startContainerd({ version, proxies: { hung: join(directory, 'hung.sock') } })
    env = node.env
    await writeOciLayout(buildImage({ layers: [[file('one', '1')], [file('two', '2')]] }), join(directory, 'image'))
    spec = `oci:${join(directory, 'image')}`
  })
  afterAll(async () => {
    if (node) process.kill(node.pid, 'SIGCONT')
    await node?.stop()
    for (const session of sessions) session.destroy()
    await new Promise((closed) => silent.close(closed))
    await rm(directory, { recursive: true, force: true })
  })

  describe('a snapshotter', () => {
    test('is told, and one signal ends the wait for it', async () => {
      const told = /has not answered for \d+ s .*hung/u
      const ran = await interrupted(['unpack', spec, '-s', 'hung'], env, told, 'SIGTERM')
      expect(ran).toMatchObject({ status: 143, sent: true, stdout: '' })
      expect(ran.endedAfterMs).toBeLessThan(PROMPT_MS)
      expect(ran.stderr).toContain('(ABORTED)')
    })

    test('is waited for no longer than --timeout says', async () => {
      const started = performance.now()
      const ran = await layercast(['unpack', spec, '-s', 'hung', '--timeout', '2s', '-o', 'json'], { env })
      expect([ran.status, errorOf(ran).code]).toEqual([4, 'TIMED_OUT'])
      expect(performance.now() - started).toBeLessThan(PROMPT_MS)
      expect(ran.stdout.toString()).toBe('')
    })

    test('hangs nobody who asks for another one', async () => {
      const ran = await layercast(['unpack', spec, '-s', 'native', '--timeout', '1m'], { env })
      expect([ran.status, ran.stderr]).toEqual([0, ''])
    })
  })

  test('a daemon that is stopped is told, and waited for no longer than --timeout says', async () => {
    process.kill(node.pid, 'SIGSTOP')
    try {
      for (const args of [
        ['image', 'ls'],
        ['snapshot', 'ls'],
        ['verify', '--all'],
        ['doctor'],
        ['unpack', spec, '-s', 'native'],
      ]) {
        const ran = await layercast([...args, '--timeout', '1s', '-o', 'json'], { env })
        expect([args, ran.status, errorOf(ran).code]).toEqual([args, 4, 'TIMED_OUT'])
      }
      const told = await interrupted(['image', 'ls'], env, /has not answered for \d+ s/u, 'SIGTERM')
      expect(told).toMatchObject({ status: 143, sent: true, stdout: '' })
    } finally {
      process.kill(node.pid, 'SIGCONT')
    }
    expect((await layercast(['image', 'ls'], { env })).status).toBe(0)
  })

  test('a time that is none is a command line that is not right', async () => {
    const ran = await layercast(['image', 'ls', '--timeout', 'soon', '-o', 'json'], { env })
    expect([ran.status, errorOf(ran).code]).toEqual([2, 'USAGE'])
  })
})
