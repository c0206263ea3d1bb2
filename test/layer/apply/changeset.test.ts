/** What a layer does to what is there already, in each form in which layers are written, and what `verify --deep` makes of it. */
import { describe, expect, test } from 'vitest'
import { AT_FDCWD } from '../../../functions/linux/at.ts'
import { mountAll } from '../../../functions/linux/mount.ts'
import { listXattrsAt } from '../../../functions/linux/xattr.ts'
import { dir, fifo, file, opaque, whiteout, type TarEntry } from '../../support/images/entries.ts'
import { differences, treeOf } from '../compare/support/described.ts'
import { bindTo, list, overlayOf, useSandbox, type Listing } from '../support/sandbox.ts'

const sandbox = useSandbox()

/** An ACL as the kernel gives it: tags, permissions, IDs. */
function acl(...entries: readonly (readonly [tag: number, permissions: number, id?: number])[]): Buffer {
  const value = Buffer.alloc(4 + 8 * entries.length)
  value.writeUInt32LE(2)
  for (const [index, [tag, permissions, id = 0xffffffff]] of entries.entries()) {
    value.writeUInt16LE(tag, 4 + 8 * index)
    value.writeUInt16LE(permissions, 6 + 8 * index)
    value.writeUInt32LE(id, 8 + 8 * index)
  }
  return value
}
const DEFAULT_ACL = acl([1, 7], [2, 7, 1000], [4, 5], [16, 7], [32, 5])
const ACCESS_ACL = acl([1, 6], [2, 6, 1000], [4, 4], [16, 6], [32, 4])
const ACLS = { access: 'system.posix_acl_access', default: 'system.posix_acl_default' }

/** Applies the layers in one of the forms, and gives the tree that they come to with how the described tree compares with it. */
const FORMS = ['a plain directory', 'overlay mounts', 'upper directories that are stacked'] as const
async function make(form: (typeof FORMS)[number], layers: TarEntry[][]) {
  const described = await treeOf(layers)
  const look = (root: string): { tree: Listing; seen: ReturnType<typeof differences> } => ({
    tree: list(root, { times: false }),
    seen: differences(described, root),
  })
  if (form === 'a plain directory') {
    const root = sandbox.make('root')
    for (const layer of layers) await sandbox.apply(root, layer)
    return look(root)
  }
  const lowers: string[] = []
  for (const [index, layer] of layers.entries()) {
    const upper = sandbox.make(`upper-${index}`)
    const alone = { type: 'overlay', source: 'overlay', target: '', options: [`upperdir=${upper}`] }
    const merged = index === 0 ? bindTo(upper) : overlayOf(lowers, upper, sandbox.make(`work-${index}`))
    await sandbox.apply([form === 'overlay mounts' ? merged : alone], layer)
    lowers.unshift(upper)
  }
  const merged = sandbox.make('merged')
  const unmount = await mountAll([overlayOf(lowers, sandbox.make('u'), sandbox.make('w'))], merged)
  try {
    return look(merged)
  } finally {
    await unmount()
  }
}
const SAME = { found: [], unsure: [] }

describe.each(FORMS)('over %s', (form) => {
  test('a directory that comes again has the attributes of its new entry, and no others', async () => {
    const old = {
      mode: 0o2770,
      uid: 5,
      gid: 6,
      xattrs: { 'user.old': 'x', 'user.both': '1', [ACLS.default]: DEFAULT_ACL, [ACLS.access]: ACCESS_ACL },
    }
    const { tree, seen } = await make(form, [
      [dir('dir', old), file('dir/low', '1'), dir('kept', old), file('file', '1', { xattrs: { 'user.old': 'x' } })],
      [
        dir('dir', { mode: 0o755, xattrs: { 'user.both': '2', 'user.new': 'n' } }),
        file('dir/up', '2'),
        file('file', '2'),
      ],
    ])
    expect(tree['dir']).toMatchObject({
      mode: 0o755,
      uid: 0,
      gid: 0,
      xattrs: [
        ['user.both', '2'],
        ['user.new', 'n'],
      ],
    })
    expect(tree['kept']?.xattrs?.map(([name]) => name)).toEqual([ACLS.access, ACLS.default, 'user.both', 'user.old'])
    expect(tree['file']?.xattrs).toEqual([])
    expect(seen).toEqual(SAME)
  })

  test('what is put into a directory with a default ACL has the ACL of its own entry, or none', async () => {
    const { tree, seen } = await make(form, [
      [
        dir('d', { xattrs: { [ACLS.default]: DEFAULT_ACL } }),
        file('d/a', '1', { mode: 0o640 }),
        file('d/own', '1', { mode: 0o644, xattrs: { [ACLS.access]: ACCESS_ACL } }),
        dir('d/sub', { mode: 0o700 }),
        file('d/implied/x', '1'),
        fifo('d/pipe', { mode: 0o600 }),
      ],
      [
        dir('d', { xattrs: { [ACLS.default]: DEFAULT_ACL } }),
        file('d/later', '2', { mode: 0o604 }),
        dir('d/sub', { mode: 0o700 }),
      ],
    ])
    const names = Object.entries(tree).map(([path, { xattrs = [] }]) => [path, xattrs.map(([name]) => name)])
    expect(Object.fromEntries(names)).toEqual({
      d: [ACLS.default],
      'd/a': [],
      'd/own': [ACLS.access],
      'd/sub': [],
      'd/implied': [],
      'd/implied/x': [],
      'd/pipe': [],
      'd/later': [],
    })
    expect([tree['d/a']?.mode, tree['d/later']?.mode, tree['d/implied']?.mode]).toEqual([0o640, 0o604, 0o755])
    expect(seen).toEqual(SAME)
  })

  const lower = [dir('test'), file('test/test', 'x'), dir('test/sub'), file('test/sub/y', 'y'), file('keep', 'k')]
  const within = [whiteout('test/test'), whiteout('test/sub/y'), opaque('test/sub')]
  const orders: [string, TarEntry[]][] = [
    ['before those in it', [whiteout('test'), ...within]],
    ['after those in it', [...within, whiteout('test')]],
    ['between those in it', [...within.slice(0, 1), whiteout('test'), ...within.slice(1)]],
    ['before it is said to be opaque', [whiteout('test'), opaque('test')]],
    ['after it is said to be opaque', [opaque('test'), whiteout('test')]],
  ]
  test.each(orders)('a directory whose whiteout comes %s is not there', async (_, upper) => {
    const { tree, seen } = await make(form, [lower, upper])
    expect(Object.keys(tree)).toEqual(['keep'])
    expect(seen).toEqual(SAME)
  })

  test('a directory that is deleted and written anew shows nothing of the old one, and has no whiteout in its way', async () => {
    const { tree, seen } = await make(form, [lower, [whiteout('test'), ...within, dir('test'), file('test/new', 'n')]])
    expect(Object.keys(tree)).toEqual(['keep', 'test', 'test/new'])
    expect(seen).toEqual(SAME)
  })
})

test.each(['a plain directory', 'overlay mounts'] as const)(
  'over %s, whiteouts within what a layer below deleted, or what never was, make nothing',
  async (form) => {
    const { tree, seen } = await make(form, [
      [dir('a'), dir('a/b'), file('a/b/c', ''), file('keep', '')],
      [whiteout('a')],
      [whiteout('a/b/c'), opaque('a/b'), whiteout('never/there'), opaque('nor/here')],
    ])
    expect(Object.keys(tree)).toEqual(['keep'])
    expect(seen).toEqual(SAME)
  },
)

describe('verify --deep', () => {
  test('sees the attributes that a directory has kept', async () => {
    const xattrs = { 'user.old': 'x', [ACLS.default]: DEFAULT_ACL }
    const layers = [
      [dir('dir', { xattrs }), file('dir/low', '1')],
      [dir('dir'), file('dir/up', '2')],
    ]
    const root = sandbox.make('root')
    await sandbox.apply(root, [dir('dir', { xattrs }), file('dir/low', '1'), file('dir/up', '2')])
    expect(listXattrsAt(AT_FDCWD, `${root}/dir`)).toContain('user.old')
    expect(differences(await treeOf(layers), root).found).toMatchObject([
      { code: 'XATTR', path: 'dir', name: ACLS.default, expected: null },
      { code: 'XATTR', path: 'dir', name: 'user.old', expected: null, actual: '78' },
    ])
  })

  test('takes an ACL for what the mode makes of it, and one that says no more than a mode for none', async () => {
    const minimal = acl([1, 7], [4, 5], [32, 5])
    const odd = acl([1, 7, 0], [2, 6, 1000], [4, 5, 0], [16, 7, 0], [32, 5, 0])
    const layer = [
      file('wider', '', { mode: 0o640, xattrs: { [ACLS.access]: ACCESS_ACL } }),
      file('minimal', '', { mode: 0o755, xattrs: { [ACLS.access]: minimal } }),
      file('odd', '', { mode: 0o775, xattrs: { [ACLS.access]: odd } }),
    ]
    const root = sandbox.make('root')
    await sandbox.apply(root, layer)
    expect(differences(await treeOf([layer]), root)).toEqual(SAME)
    const other = [
      file('wider', '', { mode: 0o640, xattrs: { [ACLS.access]: acl([1, 6], [2, 4, 7], [4, 4], [16, 4], [32, 0]) } }),
    ]
    await sandbox.apply(root, other)
    expect(differences(await treeOf([layer]), root).found).toMatchObject([
      { code: 'XATTR', path: 'wider', name: ACLS.access },
    ])
  })

  test('sees a deleted directory that has come back empty', async () => {
    const described = await treeOf([
      [dir('test'), file('test/x', ''), file('keep', '')],
      [whiteout('test'), whiteout('test/x')],
    ])
    const root = sandbox.make('root')
    await sandbox.apply(root, [dir('test'), file('keep', '')])
    expect(differences(described, root).found).toEqual([
      { code: 'DELETED_BACK', path: 'test', actual: 'directory', layer: 1 },
    ])
  })

  test('lets an empty directory be that containerd makes on the way to the whiteout of what never was', async () => {
    const described = await treeOf([[file('keep', '')], [whiteout('never/there/x')]])
    const root = sandbox.make('root')
    await sandbox.apply(root, [file('keep', '')])
    expect(differences(described, root)).toEqual(SAME)
    await sandbox.apply(root, [dir('never'), dir('never/there')])
    expect(differences(described, root)).toEqual(SAME)
    const written = await treeOf([[file('keep', '')], [whiteout('never/there')], [file('never/x', '')]])
    expect(differences(written, sandbox.make('none')).found).toMatchObject([
      { code: 'MISSING', path: 'keep' },
      { code: 'MISSING', path: 'never' },
    ])
  })
})
