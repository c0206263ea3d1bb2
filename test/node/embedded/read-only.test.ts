import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import { all } from '../../support/all.ts'
import { makeBase } from './root.ts'
import { wholeTree } from './whole-tree.ts'

const base = makeBase()
afterAll(() => rmSync(base, { recursive: true, force: true }))
const isRoot = process.getuid?.() === 0

let count = 0
const unmounts: (() => void)[] = []
afterEach(() => {
  for (const unmount of unmounts.splice(0)) unmount()
})

/** A root with one snapshot and one image, made by a process that ends well, or is killed with its log in place. */
async function filled(how: 'ended' | 'killed'): Promise<string> {
  const root = join(base, `root-${++count}`)
  const script = `
    const { openEmbedded } = await import(${JSON.stringify(join(import.meta.dirname, '../../../functions/node/embedded/backend.ts'))})
    const backend = await openEmbedded({ root: ${JSON.stringify(root)} })
    await backend.snapshotter('overlayfs').prepare('making', '', {})
    await backend.snapshotter('overlayfs').commit('a', 'making', { n: 'a' })
    await backend.images.put('example.com/a:1', { mediaType: 'a/b', digest: 'sha256:${'0'.repeat(64)}', size: 1 })
    ${how === 'killed' ? "process.kill(process.pid, 'SIGKILL')" : 'await backend.close()'}
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
  const [status, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on('close', (code, by) => resolve([code, by]))
  })
  expect([status, signal]).toEqual(how === 'killed' ? [null, 'SIGKILL'] : [0, null])
  return root
}

async function names(root: string): Promise<unknown> {
  const backend = await openEmbedded({ root })
  try {
    const snapshotter = backend.snapshotter('overlayfs')
    await snapshotter.stat('a')
    return [
      (await all(backend.images.list())).map(({ name }) => name),
      (await all(snapshotter.list())).map(({ name }) => name),
    ]
  } finally {
    await backend.close()
  }
}
const ALL = [['example.com/a:1'], ['a']]

describe.each(['ended', 'killed'] as const)('a root whose last process %s', (how) => {
  test('is read, and nothing in it changes', async () => {
    const root = await filled(how)
    // A log that a killed process left is read as SQLite does: its index is no data, and the owner of the log is set again.
    const unindexed = (): object =>
      Object.fromEntries(
        Object.entries(wholeTree(root))
          .filter(([path]) => !path.endsWith('-shm'))
          .map(([path, seen]) => [path, path.endsWith('-wal') ? seen.split(' ').at(-1) : seen]),
      )
    const before = unindexed()
    expect(await names(root)).toEqual(ALL)
    expect(await names(root)).toEqual(ALL)
    expect(unindexed()).toEqual(before)
  })

  test.skipIf(!isRoot)('is read on a read-only file system, where a change is told as what it is', async () => {
    const root = await filled(how)
    const at = join(base, `mount-${count}`)
    mkdirSync(at)
    execFileSync('mount', ['--bind', root, at])
    unmounts.push(() => execFileSync('umount', [at]))
    execFileSync('mount', ['-o', 'remount,ro,bind', at])
    const before = wholeTree(root)
    expect(await names(at)).toEqual(ALL)
    const backend = await openEmbedded({ root: at })
    await expect(backend.leases.create()).rejects.toMatchObject({
      code: 'SYSTEM_CALL_FAILED',
      message: expect.stringContaining(at) as string,
    })
    expect((await all(backend.images.list())).map(({ name }) => name)).toEqual(['example.com/a:1'])
    await backend.close()
    expect(wholeTree(root)).toEqual(before)
  })

  test.skipIf(!isRoot)('is read by a user who may not write it', async () => {
    const root = await filled(how)
    for (const path of [base, root, join(root, 'snapshots'), join(root, 'snapshots/1')]) chmodSync(path, 0o555)
    const before = wholeTree(root)
    // A thread cannot be another user; a process can.
    const script = `
      process.setgid(65534); process.setuid(65534)
      const backend = await openEmbedded({ root: ${JSON.stringify(root)} })
      const found = []
      for await (const { name } of backend.images.list()) found.push(name)
      for await (const { name } of backend.snapshotter('overlayfs').list()) found.push(name)
      let code
      await backend.leases.create().catch((error) => { code = error.code })
      await backend.close()
      console.log(JSON.stringify([found, code]))
    `
    const index = JSON.stringify(join(import.meta.dirname, '../../../functions/node/embedded/backend.ts'))
    const output = execFileSync(process.execPath, [
      '--input-type=module',
      '-e',
      `const { openEmbedded } = await import(${index})\n${script}`,
    ])
    expect(JSON.parse(output.toString())).toEqual([['example.com/a:1', 'a'], 'SYSTEM_CALL_FAILED'])
    expect(wholeTree(root)).toEqual(before)
  })
})

test('what others change is seen at the next look, also between their transactions and after they ended', async () => {
  const root = join(base, 'watched')
  const reader = await openEmbedded({ root })
  const leases = async (): Promise<number> => (await all(reader.leases.list())).length
  try {
    expect(await leases()).toBe(0)
    for (let n = 1; n <= 6; n += 2) {
      const writer = await openEmbedded({ root })
      await writer.leases.create()
      expect(await leases()).toBe(n)
      await writer.leases.create()
      expect(await leases()).toBe(n + 1)
      await writer.close()
      expect(await leases()).toBe(n + 1)
    }
  } finally {
    await reader.close()
  }
})

test('readers beside writers never see half of anything', async () => {
  const root = join(base, 'busy')
  const index = JSON.stringify(join(import.meta.dirname, '../../../functions/node/embedded/backend.ts'))
  // Pairs come in one transaction each; each round opens and closes the root, so that the log comes and goes.
  const script = `
    const { openEmbedded } = await import(${index})
    for (let n = 0; n < 40; n++) {
      const backend = await openEmbedded({ root: ${JSON.stringify(root)} })
      await backend.leases.create({ id: 'lease-' + process.pid + '-' + n, labels: { pad: 'x'.repeat(2000) } })
      await backend.leases.hold('lease-' + process.pid + '-' + n, 'overlayfs', ['one', 'two'])
      await backend.close()
    }
  `
  const writers = [1, 2].map(() => spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' }))
  const ended = Promise.all(
    writers.map((child) => new Promise<number | null>((resolve) => void child.on('close', resolve))),
  )
  const done = new AbortController()
  void ended.then(() => done.abort())
  let last = 0
  while (!done.signal.aborted) {
    const reader = await openEmbedded({ root })
    const found = await all(reader.leases.list())
    await reader.close()
    expect(found.length).toBeGreaterThanOrEqual(last)
    last = found.length
    await new Promise((resolve) => {
      setTimeout(resolve, 5)
    })
  }
  expect(await ended).toEqual([0, 0])
  const reader = await openEmbedded({ root })
  expect(await all(reader.leases.list())).toHaveLength(80)
  await reader.close()
  expect(readdirSync(root).filter((name) => name.startsWith('layercast.db')).length).toBeGreaterThan(0)
}, 60_000)
