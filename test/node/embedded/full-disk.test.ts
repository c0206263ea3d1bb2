import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import { makeBase, faults } from './root.ts'

const base = makeBase()
afterAll(() => rmSync(base, { recursive: true, force: true }))

const REF = 'containerd.io/snapshot.ref'
let count = 0
let root: string

const free = (): number => {
  const { bavail, bsize } = statfsSync(root)
  return bavail * bsize
}

/** Writes until there is no room for another byte. */
function fill(path: string): void {
  for (let size = 1 << 20; size >= 1;) {
    try {
      writeFileSync(path, Buffer.alloc(size), { flag: 'a' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      size >>= 1
    }
  }
}

describe.skipIf(process.getuid?.() !== 0)('on a full disk (as root)', () => {
  beforeEach(() => {
    root = join(base, `disk-${++count}`)
    mkdirSync(root)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', root])
  })
  afterEach(() => void execFileSync('umount', ['-l', root]))

  test('a half-written layer gives its room back, though no row can be written', async () => {
    const backend = await openEmbedded({ root })
    const snapshotter = backend.snapshotter('overlayfs')
    const [mount] = await snapshotter.prepare('extract-1', '', { [REF]: 'layer' })
    fill(join(mount?.source ?? '', 'half'))
    expect(free()).toBe(0)
    // Nothing can be written, and that is told as what it is.
    await expect(backend.leases.create({ labels: { pad: 'x'.repeat(3000) } })).rejects.toMatchObject({
      code: 'SYSTEM_CALL_FAILED',
      message: expect.stringContaining(`the disk that holds ${root} is full`) as string,
      fix: expect.stringContaining(root) as string,
    })
    await snapshotter.remove('extract-1')
    expect(free()).toBeGreaterThan(3 << 20)
    await expect(snapshotter.stat('extract-1')).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' })
    await backend.close()
    expect(faults(root)).toEqual([])
  })

  test('a half-written layer gives its room back where another process fills the disk at once', async () => {
    const backend = await openEmbedded({ root })
    const snapshotter = backend.snapshotter('overlayfs')
    const [mount] = await snapshotter.prepare('extract-1', '', { [REF]: 'layer' })
    writeFileSync(join(mount?.source ?? '', 'half'), Buffer.alloc(1 << 20))
    fill(join(root, 'other'))
    await snapshotter.remove('extract-1')
    expect(free()).toBeGreaterThan(1_000_000)
    rmSync(join(root, 'other'))
    await backend.close()
    await (await openEmbedded({ root })).leases.create()
  })

  test('a blob that finds no room leaves nothing behind', async () => {
    const backend = await openEmbedded({ root })
    await backend.leases.create()
    const before = free()
    async function* much(): AsyncGenerator<Uint8Array> {
      for (let n = 0; n < 8; n++) yield new Uint8Array(1 << 20)
    }
    const blob = { digest: `sha256:${'0'.repeat(64)}` as never, size: 8 << 20 }
    await expect(backend.content.write(blob, much())).rejects.toMatchObject({
      code: 'SYSTEM_CALL_FAILED',
      message: expect.stringContaining(root) as string,
    })
    expect(readdirSync(join(root, 'ingest'))).toEqual([])
    expect(before - free()).toBeLessThan(100_000)
    await backend.close()
  })

  test('what a killed process left is cleared away with no room for anything', async () => {
    const made = await openEmbedded({ root })
    await made.leases.create()
    await made.close()
    mkdirSync(join(root, 'trash/0123456789abcdef'))
    fill(join(root, 'trash/0123456789abcdef/half'))
    expect(free()).toBe(0)
    const backend = await openEmbedded({ root })
    await backend.leases.create()
    expect(free()).toBeGreaterThan(3 << 20)
    await backend.close()
  })
})
