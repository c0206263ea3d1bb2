import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import { all } from '../../support/all.ts'
import { faults, make, makeBase } from './root.ts'

const base = makeBase()
afterAll(() => rmSync(base, { recursive: true, force: true }))
const RUNNER = join(import.meta.dirname, 'runner.ts')

/** Runs the program; how it ended, with what it wrote. */
function run(root: string, crashAt = 0): Promise<{ signal: string | undefined; output: string }> {
  const env = { ...process.env, CRASH_AT: String(crashAt) }
  return new Promise((resolve) => {
    execFile(process.execPath, [RUNNER, root], { env }, (error, stdout, stderr) =>
      resolve({ signal: error?.signal ?? undefined, output: `${stdout}${stderr}`.trim() }),
    )
  })
}

/** Opens the root and changes something, which clears up, and says what is wrong with it; and what snapshots it has. */
async function inspect(root: string): Promise<{ wrong: string[]; kinds: string[] }> {
  if (existsSync(join(root, 'layercast.db'))) await make(root)
  const backend = await openEmbedded({ root })
  const infos = await all(backend.snapshotter('overlayfs').list())
  await backend.close()
  return { wrong: faults(root), kinds: infos.map((info) => info.kind).sort() }
}

describe('an embedded root', () => {
  test('is whole after a runner was killed at any of its steps, and the next runner finishes', async () => {
    let crashes = 0
    for (let at = 1, finished = false; !finished; at++) {
      const root = join(base, `killed-${at}`)
      const { signal, output } = await run(root, at)
      finished = signal !== 'SIGKILL'
      expect([finished, output]).toEqual([finished, finished ? 'done' : ''])
      if (!finished) crashes++
      expect((await inspect(root)).wrong, `killed at step ${at}`).toEqual([])
      // The whole second run costs time: at every fifth step it shows what there is to be shown.
      if (at % 5 !== 0) continue
      expect((await run(root)).output, `after step ${at}`).toBe('done')
      const { wrong, kinds } = await inspect(root)
      expect(wrong).toEqual([])
      expect(kinds.filter((kind) => kind === 'committed')).toHaveLength(2)
      rmSync(root, { recursive: true })
    }
    expect(crashes).toBeGreaterThan(40)
  }, 300_000)

  test('serves several processes at once, from its very beginning', async () => {
    const root = join(base, 'shared')
    const ends = await Promise.all(Array.from({ length: 5 }, () => run(root)))
    expect(ends.map(({ output }) => output)).toEqual(ends.map(() => 'done'))
    const { wrong, kinds } = await inspect(root)
    expect(wrong).toEqual([])
    expect(kinds).toEqual(['committed', 'committed'])
    const backend = await openEmbedded({ root })
    try {
      const blobs = await all(backend.content.list())
      expect(blobs).toHaveLength(2)
      for (const { labels } of blobs) expect(Object.keys(labels)).toHaveLength(5)
      expect(await all(backend.leases.list())).toEqual([])
    } finally {
      await backend.close()
    }
  }, 60_000)

  test('keeps what a living process is still writing when another opens it', async () => {
    const root = join(base, 'living')
    const one = await openEmbedded({ root })
    let go = (): void => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('hel')
      await gate
      yield Buffer.from('lo')
    }
    const digest = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824' as never
    const writing = one.content.write({ digest, size: 5 }, slow())
    await expect.poll(() => readdirSync(join(root, 'ingest'))).toHaveLength(1)
    const two = await openEmbedded({ root })
    expect(readdirSync(join(root, 'ingest'))).toHaveLength(1)
    go()
    await writing
    expect((await two.content.info(digest)).size).toBe(5)
    await one.close()
    await two.close()
    expect(faults(root)).toEqual([])
  })

  test('is rid of what nobody has a row for at the next change, old writings of other machines included', async () => {
    const root = join(base, 'litter')
    await make(root)
    mkdirSync(join(root, 'snapshots/17/fs/deep/er'), { recursive: true })
    mkdirSync(join(root, 'trash/0123456789abcdef/y'), { recursive: true })
    mkdirSync(join(root, 'blobs/sha256'))
    writeFileSync(join(root, 'blobs/sha256', 'a'.repeat(64)), 'x')
    writeFileSync(join(root, 'ingest/1.2.3.abcdefghijkl'), 'x')
    writeFileSync(join(root, 'ingest/1.2.4.abcdefghijkl'), 'x')
    utimesSync(join(root, 'ingest/1.2.3.abcdefghijkl'), 0, 0)
    await make(root)
    // The younger one may belong to another PID namespace.
    expect(faults(root)).toEqual(['ingest holds 1.2.4.abcdefghijkl'])
  })

  test('shows its content to nobody else', async () => {
    const root = join(base, 'private')
    await make(root)
    for (const name of ['snapshots', 'blobs', 'ingest', 'trash'])
      expect(statSync(join(root, name)).mode & 0o077).toBe(0)
  })
})
