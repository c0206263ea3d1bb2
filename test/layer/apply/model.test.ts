import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hasCode } from '../../../functions/errors.ts'
import type { Mount } from '../../../functions/linux/mount-list.ts'
import { mountAll } from '../../../functions/linux/mount.ts'
import { dir, fifo, file, hardlink, opaque, symlink, whiteout, type TarEntry } from '../../support/images/entries.ts'
import { Model, ModelError } from '../support/model.ts'
import { bindTo, list, overlayOf, useSandbox } from '../support/sandbox.ts'
import type { Listing } from '../support/sandbox.ts'

// Few names and little depth, so that entries meet each other: replaced, hidden, linked, gone through.
const name = fc.constantFrom('a', 'b', 'c')
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
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
  mtime: fc.nat(2_000_000_000),
})
const content = fc.string({ maxLength: 5 })

const entry: fc.Arbitrary<TarEntry> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(path, content, meta).map(([at, data, rest]) => file(at, data, rest)) },
  { weight: 3, arbitrary: fc.tuple(path, meta).map(([at, rest]) => dir(at, rest)) },
  { weight: 2, arbitrary: fc.tuple(path, target, meta).map(([at, to, rest]) => symlink(at, to, rest)) },
  { weight: 1, arbitrary: fc.tuple(path, path, meta).map(([at, to, rest]) => hardlink(at, to, rest)) },
  { weight: 1, arbitrary: fc.tuple(path, meta).map(([at, rest]) => fifo(at, rest)) },
  { weight: 3, arbitrary: path.map((at) => whiteout(at)) },
  { weight: 1, arbitrary: fc.oneof(path, fc.constant('')).map((at) => opaque(at)) },
)
const layers = fc.array(fc.array(entry, { maxLength: 8 }), { minLength: 1, maxLength: 4 })

const sandbox = useSandbox()
let round = 0

function fresh(): string {
  rmSync(join(sandbox.directory, `round-${round}`), { recursive: true, force: true })
  const root = join(sandbox.directory, `round-${++round}`)
  mkdirSync(root)
  return root
}

type Outcome = Listing | { refused: number }

/** Without the times that the model leaves open. */
function comparable(got: Listing, wanted: Outcome): Listing {
  for (const [at, item] of Object.entries(got)) {
    const due = (wanted as Listing)[at]
    if (due !== undefined && due.mtime === undefined) delete item.mtime
  }
  return got
}

/** What the layers come to: a tree, or the place of the first layer that cannot be applied. */
function meaning(sequence: readonly (readonly TarEntry[])[]): { wanted: Outcome; crossLinked: boolean } {
  const model = new Model()
  for (const [index, layer] of sequence.entries()) {
    try {
      model.apply(layer)
    } catch (error) {
      if (!(error instanceof ModelError)) throw error
      return { wanted: { refused: index }, crossLinked: model.crossLinked }
    }
  }
  return { wanted: model.list(), crossLinked: model.crossLinked }
}

/** Applies layers one after another; gives the place of the first that is refused. */
async function applyAll(
  sequence: readonly (readonly TarEntry[])[],
  mountsOf: (index: number) => Mount[],
): Promise<{ refused: number } | undefined> {
  for (const [index, layer] of sequence.entries()) {
    try {
      await sandbox.apply(mountsOf(index), layer)
    } catch (error) {
      if (hasCode(error, 'LAYER_CORRUPT', 'LAYER_UNSAFE')) return { refused: index }
      throw error
    }
  }
  return undefined
}

const layerDirectory = (root: string, kind: string, index: number): string => {
  const made = join(root, `${kind}-${index}`)
  mkdirSync(made, { recursive: true })
  return made
}

async function listMerged(root: string, mount: Mount): Promise<Listing> {
  const merged = layerDirectory(root, 'merged', 0)
  const unmount = await mountAll([mount], merged)
  try {
    return list(merged)
  } finally {
    await unmount()
  }
}

test('any layers into a plain directory give the tree of the model', { timeout: 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(layers, async (sequence) => {
      const root = fresh()
      const { wanted } = meaning(sequence)
      const refused = await applyAll(sequence, () => [bindTo(root)])
      expect(refused ?? comparable(list(root), wanted)).toEqual(wanted)
    }),
    { numRuns: 250 },
  )
})

test('any layers over overlay mounts give the tree of the model', { timeout: 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(layers, async (sequence) => {
      const { wanted, crossLinked } = meaning(sequence)
      fc.pre(!crossLinked)
      const root = fresh()
      const lowersOf = (index: number): string[] =>
        Array.from({ length: index }, (_, above) => layerDirectory(root, 'upper', index - 1 - above))
      const refused = await applyAll(sequence, (index) => {
        const upper = layerDirectory(root, 'upper', index)
        return index === 0 ? [bindTo(upper)] : [overlayOf(lowersOf(index), upper, layerDirectory(root, 'work', index))]
      })
      const view = overlayOf(lowersOf(sequence.length), layerDirectory(root, 'u', 0), layerDirectory(root, 'w', 0))
      expect(refused ?? comparable(await listMerged(root, view), wanted)).toEqual(wanted)
    }),
    { numRuns: 120 },
  )
})

// Layers as builders write them: every parent described, no path through a link, links within the layer only. What a
// layer means then does not depend on those below, which is what parallel mode rests on.
const described = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constant('file'), path, meta) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('dir'), path, meta) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('symlink'), path, meta) },
    { weight: 3, arbitrary: fc.tuple(fc.constant('whiteout'), path, meta) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('opaque'), path, meta) },
  ),
  { maxLength: 6 },
)

function withParents(items: readonly (readonly [string, string, { mode: number; mtime: number }])[]): TarEntry[] {
  const entries: TarEntry[] = []
  const kinds = new Map<string, string>()
  for (const [kind, at, rest] of items) {
    const parts = at.split('/')
    const parents = parts.map((_, length) => parts.slice(0, length).join('/')).slice(1)
    if (kind === 'opaque') parents.push(at)
    for (const parent of parents) {
      if (kinds.get(parent) === 'dir') continue
      for (const known of kinds.keys()) if (known.startsWith(`${parent}/`)) kinds.delete(known)
      kinds.set(parent, 'dir')
      entries.push(dir(parent, rest))
    }
    if (kind === 'file') entries.push(file(at, at, rest))
    else if (kind === 'dir') entries.push(dir(at, rest))
    else if (kind === 'symlink') entries.push(symlink(at, 'anywhere', rest))
    else entries.push(kind === 'opaque' ? opaque(at) : whiteout(at))
    if (kind === 'file' || kind === 'dir' || kind === 'symlink') {
      if (kind !== 'dir') for (const known of kinds.keys()) if (known.startsWith(`${at}/`)) kinds.delete(known)
      kinds.set(at, kind)
    }
  }
  return entries
}

test(
  'layers applied apart, each to an upper directory, and then stacked give the tree of the model',
  {
    timeout: 300_000,
  },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(described, { minLength: 1, maxLength: 4 }), async (items) => {
        const sequence = items.map((layer) => withParents(layer))
        const { wanted } = meaning(sequence)
        const root = fresh()
        const uppers = sequence.map((_, index) => layerDirectory(root, 'upper', index))
        const refused = await applyAll(sequence, (index) => [
          { type: 'overlay', source: 'overlay', target: '', options: [`upperdir=${uppers[index] ?? ''}`] },
        ])
        expect(refused).toBeUndefined()
        const view = overlayOf(uppers.toReversed(), layerDirectory(root, 'u', 0), layerDirectory(root, 'w', 0))
        expect(comparable(await listMerged(root, view), wanted)).toEqual(wanted)
      }),
      { numRuns: 200 },
    )
  },
)
