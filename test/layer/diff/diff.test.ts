import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasCode } from '../../../functions/errors.ts'
import { diffLayer } from '../../../functions/layer/diff/diff.ts'
import type { ContentStore } from '../../../functions/node/ports.ts'
import { device, dir, fifo, file, hardlink, symlink, whiteout, type TarEntry } from '../../support/images/entries.ts'
import { digestOf } from '../../support/images/image.ts'
import { bindTo, list, useSandbox, type Listing } from '../support/sandbox.ts'

// Few names and little depth, so that trees have names in common.
const path = fc.array(fc.constantFrom('a', 'b', 'b.c'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
const meta = fc.record({
  mode: fc.constantFrom(0o755, 0o600, 0o4711),
  uid: fc.nat(3),
  gid: fc.constantFrom(0, 3_000_000),
  // Builders give all files one time: sizes and times say little.
  mtime: fc.constantFrom(0, 1_600_000_000, 1_600_000_000.5),
  xattrs: fc.constantFrom({}, { 'user.a': 'x' }, { 'user.a': 'y' }),
})
const entry: fc.Arbitrary<TarEntry> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(path, fc.constantFrom('', 'x', 'y'), meta).map((of) => file(...of)) },
  { weight: 3, arbitrary: fc.tuple(path, meta).map((of) => dir(...of)) },
  { weight: 2, arbitrary: fc.tuple(path, path).map((of) => symlink(...of)) },
  { weight: 3, arbitrary: fc.tuple(path, path).map((of) => hardlink(...of)) },
  { weight: 1, arbitrary: path.map((at) => fifo(at)) },
  { weight: 3, arbitrary: path.map((at) => whiteout(at)) },
)
const layer = fc.array(entry, { maxLength: 8 })

describe.skipIf(process.getuid?.() !== 0)('a layer made by walking two trees (as root)', () => {
  const sandbox = useSandbox()
  let round = 0

  function fresh(name: string): string {
    rmSync(join(sandbox.directory, `${name}-${round}`), { recursive: true, force: true })
    const root = join(sandbox.directory, `${name}-${++round}`)
    mkdirSync(root)
    return root
  }

  /** The layer's bytes, as they were written under the digest that was told first. */
  async function layerOf(lower: string | undefined, upper: string): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    const content = {
      async write(_: unknown, data: AsyncIterable<Uint8Array>) {
        for await (const chunk of data) parts.push(chunk)
      },
    } as ContentStore
    const below = lower === undefined ? undefined : [bindTo(lower)]
    const signal = new AbortController().signal
    const { digest, size } = await diffLayer(content, below, [bindTo(upper)], { mediaType: 'x', signal })
    const bytes = Buffer.concat(parts)
    expect([digest, size]).toEqual([digestOf(bytes), bytes.length])
    return bytes
  }

  /** Applies as many of the entries as can be applied. */
  async function grow(root: string, entries: readonly TarEntry[]): Promise<void> {
    for (const one of entries) {
      await sandbox.apply(root, [one]).catch((error: unknown) => {
        if (!hasCode(error, 'LAYER_CORRUPT', 'LAYER_UNSAFE')) throw error
      })
    }
  }

  test('makes of the lower tree the upper one', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(layer, layer, async (first, second) => {
        const [lower, upper] = [fresh('lower'), fresh('upper')]
        await grow(lower, first)
        await grow(upper, [...first, ...second])
        const wanted: Listing = list(upper)
        await sandbox.apply(lower, await layerOf(lower, upper))
        expect(list(lower)).toEqual(wanted)
        const alone = fresh('alone')
        await sandbox.apply(alone, await layerOf(undefined, upper))
        expect(list(alone)).toEqual(wanted)
      }),
      { numRuns: 150 },
    )
  })

  test('says nothing of what is the same', async () => {
    const [lower, upper] = [fresh('lower'), fresh('upper')]
    for (const root of [lower, upper])
      await sandbox.apply(root, [dir('a', { mtime: 5 }), file('a/b', 'x'), hardlink('c', 'a/b')])
    expect(await layerOf(lower, upper)).toEqual(Buffer.alloc(1024))
  })

  test('tells content of the same size and time, and names that another file has now', async () => {
    const [lower, upper] = [fresh('lower'), fresh('upper')]
    await sandbox.apply(lower, [file('a', 'x'), hardlink('b', 'a'), file('c', 'z')])
    await sandbox.apply(upper, [file('a', 'x'), file('c', 'y'), hardlink('b', 'c')])
    await sandbox.apply(lower, await layerOf(lower, upper))
    expect(list(lower)).toEqual(list(upper))
  })

  test('tells names that are no longer, or newly, those of one file', async () => {
    const four = ['a', 'b', 'c', 'd']
    const pair = (...[one = '', other = '']: string[]) => [file(one, 'x'), hardlink(other, one)]
    const forms = [
      [...pair('a', 'b'), ...pair('c', 'd')],
      [...pair('a', 'c'), ...pair('b', 'd')],
      four.map((at) => file(at, 'x')),
    ]
    for (const [before, after] of [
      [0, 1],
      [1, 2],
      [2, 0],
    ] as const) {
      const [lower, upper] = [fresh('lower'), fresh('upper')]
      await sandbox.apply(lower, forms[before] ?? [])
      await sandbox.apply(upper, forms[after] ?? [])
      await sandbox.apply(lower, await layerOf(lower, upper))
      expect(list(lower)).toEqual(list(upper))
    }
  })

  test('makes a directory anew that loses an attribute, with all that is in it', async () => {
    const [lower, upper] = [fresh('lower'), fresh('upper')]
    const inside = [file('a/kept', 'x'), dir('a/b'), hardlink('a/b/link', 'a/kept')]
    await sandbox.apply(lower, [dir('a', { xattrs: { 'user.a': 'x' } }), file('a/gone'), ...inside, file('z')])
    await sandbox.apply(upper, [dir('a'), ...inside, file('z')])
    await sandbox.apply(lower, await layerOf(lower, upper))
    expect(list(lower)).toEqual(list(upper))
  })

  test('holds what headers cannot: long and odd names, great numbers, times before 1970, devices', async () => {
    const [long, upper, again] = ['n'.repeat(120), fresh('upper'), fresh('again')]
    await sandbox.apply(upper, [
      dir(`${long}/ü`, { mtime: -1.5 }),
      file(`${long}/ü/\u0001`, 'x'.repeat(600), { uid: 4_000_000_000, xattrs: { 'user.ü': '\n=\u0000' } }),
      symlink('link', `${long}/${long}/ü`),
      device('char', 'char', 10, 300),
    ])
    await sandbox.apply(again, await layerOf(undefined, upper))
    expect(list(again)).toEqual(list(upper))
  })
})
