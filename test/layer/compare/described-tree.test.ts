import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasCode } from '../../../functions/errors.ts'
import { DescribedTree } from '../../../functions/layer/compare/described-tree.ts'
import type { Mount } from '../../../functions/linux/mount-list.ts'
import { mountAll } from '../../../functions/linux/mount.ts'
import {
  device,
  dir,
  fifo,
  file,
  hardlink,
  opaque,
  symlink,
  whiteout,
  type TarEntry,
} from '../../support/images/entries.ts'
import { digestOf } from '../../support/images/image.ts'
import { bindTo, overlayOf, useSandbox } from '../support/sandbox.ts'
import { differences, describeEntries, treeOf } from './support/described.ts'

// Few names and little depth, so that entries meet each other: replaced, hidden, linked, gone through.
const path = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
const target = fc.oneof(
  path,
  path.map((text) => `/${text}`),
  path.map((text) => `../${text}`),
  fc.constantFrom('.', '..', '/'),
)
const meta = fc.record({
  mode: fc.constantFrom(0o755, 0o600, 0o4711, 0o1777, 0o2750),
  uid: fc.nat(3),
  gid: fc.nat(3),
})
const entry: fc.Arbitrary<TarEntry> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(path, fc.string({ maxLength: 5 }), meta).map(([at, data, m]) => file(at, data, m)) },
  { weight: 3, arbitrary: fc.tuple(path, meta).map(([at, m]) => dir(at, m)) },
  { weight: 2, arbitrary: fc.tuple(path, target, meta).map(([at, to, m]) => symlink(at, to, m)) },
  { weight: 2, arbitrary: fc.tuple(path, path, meta).map(([at, to, m]) => hardlink(at, to, m)) },
  { weight: 1, arbitrary: fc.tuple(path, meta).map(([at, m]) => fifo(at, m)) },
  { weight: 1, arbitrary: fc.tuple(path, fc.nat(1), meta).map(([at, n, m]) => device(at, 'block', n, n, m)) },
  { weight: 3, arbitrary: path.map((at) => whiteout(at)) },
  { weight: 1, arbitrary: fc.oneof(path, fc.constant('')).map((at) => opaque(at)) },
)
const layers = fc.array(fc.array(entry, { maxLength: 8 }), { minLength: 1, maxLength: 4 })

const SAME = { found: [], unsure: [] }

const refusal = (error: unknown): true => {
  if (hasCode(error, 'LAYER_CORRUPT', 'LAYER_UNSAFE')) return true
  throw error
}

describe('the tree that layers describe', () => {
  const sandbox = useSandbox()
  let round = 0
  const fresh = (): string => {
    rmSync(join(sandbox.directory, `round-${round}`), { recursive: true, force: true })
    const root = join(sandbox.directory, `round-${++round}`)
    mkdirSync(root)
    return root
  }
  const make = (root: string, name: string): string => {
    mkdirSync(join(root, name), { recursive: true })
    return join(root, name)
  }

  /** Writes and describes layers side by side, until one refuses: then both must. */
  async function applyBoth(sequence: readonly (readonly TarEntry[])[], mountsOf: (index: number) => Mount[]) {
    const tree = new DescribedTree({ contents: true })
    for (const [index, layer] of sequence.entries()) {
      const applied = await sandbox.apply(mountsOf(index), layer).then(() => false, refusal)
      const described = await describeEntries(tree, layer).then(() => false, refusal)
      expect(described).toBe(applied)
      if (described) return undefined
    }
    return tree
  }

  test('is the one that the applier writes into a plain directory', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(layers, async (sequence) => {
        const root = fresh()
        const tree = await applyBoth(sequence, () => [bindTo(root)])
        expect(tree && differences(tree, root)).toEqual(tree && SAME)
      }),
      { numRuns: 250 },
    )
  })

  test('is the one that the applier writes over overlay mounts', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(layers, async (sequence) => {
        const root = fresh()
        const lowers = (below: number): string[] =>
          Array.from({ length: below }, (_, above) => make(root, `upper-${below - 1 - above}`))
        const tree = await applyBoth(sequence, (index) => {
          const upper = make(root, `upper-${index}`)
          return index === 0 ? [bindTo(upper)] : [overlayOf(lowers(index), upper, make(root, `work-${index}`))]
        })
        const merged = make(root, 'merged')
        const unmount = await mountAll([overlayOf(lowers(sequence.length), make(root, 'u'), make(root, 'w'))], merged)
        try {
          expect(tree && differences(tree, merged)).toEqual(tree && SAME)
        } finally {
          await unmount()
        }
      }),
      { numRuns: 120 },
    )
  })

  test('has what containerd makes of a whiteout after the name that it hides, and what the specification makes of it', async () => {
    const root = fresh()
    const tree = await treeOf([
      [dir('a'), file('a/x', '1')],
      [file('a/x', '2'), whiteout('a/x')],
    ])
    mkdirSync(join(root, 'a'))
    expect(differences(tree, root).found).toEqual([])
    await sandbox.apply(root, [file('a/x', '2')])
    expect(differences(tree, root).found).toEqual([])
    await sandbox.apply(root, [file('a/x', '1')])
    expect(differences(tree, root).found).toMatchObject([{ code: 'CONTENT', path: 'a/x' }])
  })

  test('has a character device 0:0 or nothing in its place, which is what overlayfs shows of it', async () => {
    const root = fresh()
    const tree = await treeOf([[device('a', 'char', 0, 0)]])
    expect(differences(tree, root).found).toEqual([])
    await sandbox.apply(root, [device('a', 'char', 0, 0)])
    expect(differences(tree, root).found).toEqual([])
    await sandbox.apply(root, [file('a')])
    expect(differences(tree, root).found).toMatchObject([{ code: 'KIND', path: 'a' }])
  })

  test('is bounded', async () => {
    const tree = new DescribedTree({ contents: false, most: 10 })
    const many = Array.from({ length: 11 }, (_, n) => file(`f${n}`))
    await expect(describeEntries(tree, many)).rejects.toMatchObject({ code: 'LAYER_TOO_LARGE' })
  })

  test('is not read from a blob that is not the one named, nor from one that the config does not name', async () => {
    await expect(treeOf([[file('.wh..')]])).rejects.toMatchObject({ code: 'LAYER_UNSAFE', detail: { entry: '.wh..' } })
  })

  test('leaves out what a lazy layer’s snapshotter hides, and shows what layers below have of the name', async () => {
    const hides = ['mark']
    const tree = new DescribedTree({ contents: true })
    const names = () =>
      Object.fromEntries(
        [...tree.root.children].map(([name, { node }]) => [name, node.kind === 'directory' ? 0 : node.names]),
      )
    await describeEntries(tree, [file('mark', 'a'), file('a', ''), hardlink('link', 'mark')], hides)
    expect(names()).toEqual({ a: 1, link: 1 })
    await describeEntries(tree, [file('mark', 'b'), hardlink('b', 'mark')])
    expect(names()).toEqual({ a: 1, link: 1, mark: 2, b: 2 })
    await describeEntries(tree, [file('mark', 'c'), dir('d'), file('d/mark', 'seen')], hides)
    expect(names()).toMatchObject({ mark: 2, b: 2 })
    const slot = tree.root.children.get('mark')?.node
    expect(slot?.kind === 'file' && slot.sha256).toBe(digestOf('b').slice('sha256:'.length))
    await describeEntries(tree, [whiteout('mark')], hides)
    expect(names()).toMatchObject({ b: 1 })
    expect(Object.keys(names())).not.toContain('mark')
  })
})
