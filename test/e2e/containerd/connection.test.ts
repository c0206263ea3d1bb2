import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDigest } from '../../../functions/image/digest.ts'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'

const run = promisify(execFile)
const code = (wanted: string): object => expect.objectContaining({ code: wanted })
const adapter = join(import.meta.dirname, '../../../functions/node/containerd/backend.ts')

await describeContainerd('the connection to containerd', (version) => {
  let containerd: TestContainerd
  let backend: ContainerdBackend

  beforeAll(async () => {
    containerd = await startContainerd({ version, namespace: 'some-namespace' })
    backend = await containerd.connect()
  })
  afterAll(() => containerd?.stop())

  test('the version is the one that ctr shows', async () => {
    const shown = await containerd.ctr('version')
    expect(shown).toContain(await backend.version())
    expect(backend.kind).toBe('containerd')
    expect((await backend.version()).replace(/^v/, '').startsWith(`${version}.`)).toBe(true)
  })

  test('every call is in the namespace that was asked for', async () => {
    await backend.snapshotter('overlayfs').prepare('here', '', { 'containerd.io/gc.root': 'a test' })
    expect(await containerd.ctr('-n', 'some-namespace', 'snapshots', 'ls')).toContain('here')
    expect(await containerd.ctr('-n', 'default', 'snapshots', 'ls')).not.toContain('here')
    const elsewhere = await containerd.connect('elsewhere')
    await expect(elsewhere.snapshotter('overlayfs').stat('here')).rejects.toEqual(code('SNAPSHOT_NOT_FOUND'))
    const nowhere = await containerd.connect('no namespace')
    await expect(nowhere.snapshotter('overlayfs').stat('here')).rejects.toThrow(/no namespace/)
  })

  test.each([
    ['closes it', 'await backend.close()'],
    ['forgets to close it', ''],
    [
      'closes it while it reads',
      'backend.content.list()[Symbol.asyncIterator]().next().catch(() => 0); await backend.close()',
    ],
  ])('a process that %s exits by itself', async (_, end) => {
    const script = `
      import { connectContainerd } from ${JSON.stringify(adapter)}
      const backend = await connectContainerd()
      await backend.snapshotters()
      ${end}
      process.on('exit', () => console.log('out'))`
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, ...containerd.env },
      timeout: 30_000,
    })
    expect(stdout).toBe('out\n')
  })

  test('after close every call is CONTAINERD_UNREACHABLE, and a backend under a lease closes nothing', async () => {
    const other = await containerd.connect()
    await other.withLease('some-lease').close()
    await other.snapshotters()
    await other.close()
    await expect(other.snapshotters()).rejects.toEqual(code('CONTAINERD_UNREACHABLE'))
    await expect(other.images.get('x')).rejects.toThrow(/closed/)
  })

  test('a daemon that dies is CONTAINERD_UNREACHABLE at once, also within a read, and found again when it is back', async () => {
    const bytes = randomBytes(20_000_000)
    const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
    const leased = backend.withLease((await backend.leases.create()).id)
    const once = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes
    }
    await leased.content.write({ digest, size: bytes.length }, once())
    const reader = leased.content.read(digest)[Symbol.asyncIterator]()
    await reader.next()
    const drain = async (): Promise<void> => {
      while ((await reader.next()).done !== true);
    }
    await containerd.kill()
    await expect(drain()).rejects.toEqual(code('CONTAINERD_UNREACHABLE'))
    await expect(leased.content.info(digest)).rejects.toEqual(code('CONTAINERD_UNREACHABLE'))
    await containerd.start()
    expect(await leased.content.info(digest)).toMatchObject({ size: bytes.length })
  })
})
