import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import type { DescribedTree } from '../../../functions/layer/compare/described-tree.ts'
import type { TreeDifference } from '../../../functions/layer/compare/tree-comparison.ts'
import { AT_FDCWD, makeDevice, mknodAt, S_IFCHR } from '../../../functions/linux/at.ts'
import { setXattrAt } from '../../../functions/linux/xattr.ts'
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
import { useSandbox } from '../support/sandbox.ts'
import { differences, treeOf } from './support/described.ts'

const CAPABILITY = Buffer.from('0100000200040000000000000000000000000000', 'hex')

const LAYERS: TarEntry[][] = [
  [
    dir('etc', { mode: 0o750 }),
    file('etc/passwd', 'root', { mode: 0o640, gid: 42 }),
    file('etc/gone', 'deleted by the second layer'),
    dir('var'),
    file('var/old', 'under an opaque directory'),
    dir('opt'),
    dir('opt/app'),
    file('opt/app/v1', '1'),
    symlink('lib', 'usr/lib'),
    device('null', 'char', 1, 3, { mode: 0o666 }),
    fifo('pipe'),
    file('ping', 'program', { mode: 0o755, xattrs: { 'security.capability': CAPABILITY, 'user.note': 'a' } }),
    file('other', '', { xattrs: { 'user.note': 'b' } }),
    hardlink('pong', 'ping', { mode: 0o755 }),
    file('n\u00e9\u4e2d', 'no ASCII'),
    dir('empty'),
  ],
  [whiteout('etc/gone'), dir('var'), opaque('var'), file('var/new', 'new'), whiteout('opt')],
  [dir('opt'), dir('opt/app'), file('opt/app/v2', '2')],
]

describe('a tree compared with its layers', () => {
  const sandbox = useSandbox()
  let tree: DescribedTree
  let root = ''
  const at = (path: string): string => join(root, path)
  const found = (): TreeDifference[] => differences(tree, root).found

  beforeEach(async () => {
    root = sandbox.make('root')
    tree = await treeOf(LAYERS)
    for (const layer of LAYERS) await sandbox.apply(root, layer)
  })

  test('is the same when it is the one that the layers describe', () => {
    expect(differences(tree, root)).toEqual({ found: [], unsure: [] })
  })

  const cases: [string, () => void, object[]][] = [
    [
      'a file that is not there',
      () => unlinkSync(at('etc/passwd')),
      [{ code: 'MISSING', path: 'etc/passwd', expected: 'file' }],
    ],
    [
      'a directory that is not there, once',
      () => rmSync(at('opt'), { recursive: true }),
      [{ code: 'MISSING', path: 'opt', expected: 'directory' }],
    ],
    [
      'the last name of the walk',
      () => unlinkSync(at('var/new')),
      [{ code: 'MISSING', path: 'var/new', expected: 'file' }],
    ],
    [
      'a file too many',
      () => writeFileSync(at('etc/extra'), ''),
      [{ code: 'EXTRA', path: 'etc/extra', actual: 'file' }],
    ],
    [
      'a directory too many, once with all below it',
      () => {
        mkdirSync(at('empty/more/below'), { recursive: true })
        writeFileSync(at('empty/more/below/file'), '')
      },
      [{ code: 'EXTRA', path: 'empty/more', actual: 'directory' }],
    ],
    [
      'a deleted file that came back',
      () => writeFileSync(at('etc/gone'), ''),
      [{ code: 'DELETED_BACK', path: 'etc/gone', actual: 'file', layer: 1 }],
    ],
    [
      'what an opaque directory hides',
      () => writeFileSync(at('var/old'), ''),
      [{ code: 'DELETED_BACK', path: 'var/old', actual: 'file', layer: 1 }],
    ],
    [
      'what was in a directory that was deleted and made anew, two levels down',
      () => writeFileSync(at('opt/app/v1'), '1'),
      [{ code: 'DELETED_BACK', path: 'opt/app/v1', actual: 'file', layer: 1 }],
    ],
    ['a mode', () => chmodSync(at('etc'), 0o755), [{ code: 'MODE', path: 'etc', expected: '0750', actual: '0755' }]],
    [
      'a setuid bit',
      () => chmodSync(at('etc/passwd'), 0o4640),
      [{ code: 'MODE', path: 'etc/passwd', expected: '0640', actual: '4640' }],
    ],
    [
      'an owner',
      () => chownSync(at('etc/passwd'), 7, 42),
      [{ code: 'OWNER', path: 'etc/passwd', expected: '0:42', actual: '7:42' }],
    ],
    ['a size', () => truncateSync(at('etc/passwd'), 9), [{ code: 'SIZE', path: 'etc/passwd', expected: 4, actual: 9 }]],
    [
      'content of the same size',
      () => writeFileSync(at('etc/passwd'), 'ROOT'),
      [{ code: 'CONTENT', path: 'etc/passwd' }],
    ],
    [
      "a link's target",
      () => {
        unlinkSync(at('lib'))
        symlinkSync('usr/lib64', at('lib'))
      },
      [{ code: 'TARGET', path: 'lib', expected: 'usr/lib', actual: 'usr/lib64' }],
    ],
    [
      'a device number',
      () => {
        unlinkSync(at('null'))
        mknodAt(AT_FDCWD, at('null'), S_IFCHR | 0o666, makeDevice(1, 5))
        chmodSync(at('null'), 0o666)
      },
      [{ code: 'DEVICE', path: 'null', expected: '1:3', actual: '1:5' }],
    ],
    [
      'another kind',
      () => {
        unlinkSync(at('pipe'))
        mkdirSync(at('pipe/below'), { recursive: true })
      },
      [{ code: 'KIND', path: 'pipe', expected: 'fifo', actual: 'directory' }],
    ],
    [
      'a file in place of a directory, and none of what is below it',
      () => {
        rmSync(at('opt'), { recursive: true })
        writeFileSync(at('opt'), '')
      },
      [{ code: 'KIND', path: 'opt', expected: 'directory', actual: 'file' }],
    ],
    ['a name that is no ASCII', () => chmodSync(at('n\u00e9\u4e2d'), 0), [{ code: 'MODE', path: 'n\u00e9\u4e2d' }]],
    ['a time, which nobody promises', () => utimesSync(at('etc/passwd'), 5, 5), []],
    ['the root itself, which is the snapshotter\u2019s', () => chmodSync(root, 0o700), []],
    ['ext4\u2019s lost+found', () => mkdirSync(at('lost+found')), []],
  ]
  for (const [title, damage, expected] of cases) {
    test(`tells of ${title}`, () => {
      damage()
      expect(found()).toEqual(expected.map((each) => expect.objectContaining(each)))
    })
  }

  test('tells of an attribute that is changed, one that is gone and one too many', () => {
    const directory = openSync(root, 'r')
    try {
      expect(setXattrAt(directory, 'ping', 'user.note', 'z')).toBe(0)
      expect(setXattrAt(directory, 'etc/passwd', 'user.more', '1')).toBe(0)
      unlinkSync(at('other'))
      writeFileSync(at('other'), '')
    } finally {
      closeSync(directory)
    }
    expect(found()).toEqual([
      { code: 'XATTR', path: 'etc/passwd', name: 'user.more', expected: null, actual: '31' },
      { code: 'XATTR', path: 'ping', name: 'user.note', expected: '61', actual: '7a' },
      { code: 'XATTR', path: 'pong', name: 'user.note', expected: '61', actual: '7a' },
      { code: 'XATTR', path: 'other', name: 'user.note', expected: '62', actual: null },
    ])
  })

  test('a file capability that is lost is told where there are others, and else told to be unsure', async () => {
    const twice = [file('one', '', { xattrs: { 'security.capability': CAPABILITY } })]
    const alone = await treeOf([twice])
    const other = sandbox.make('other-root')
    await sandbox.apply(other, [file('one')])
    expect(differences(alone, other)).toEqual({ found: [], unsure: ['one'] })
    const both = await treeOf([[...twice, file('two', '', { xattrs: { 'security.capability': CAPABILITY } })]])
    await sandbox.apply(other, [file('two', '', { xattrs: { 'security.capability': CAPABILITY } })])
    expect(differences(both, other).found).toMatchObject([{ code: 'XATTR', path: 'one', actual: null }])
  })

  test('a file whose several names overlayfs takes apart may have either metadata under the others', async () => {
    const sequence = [
      [file('a', '1', { mode: 0o600 }), hardlink('b', 'a', { mode: 0o600 })],
      [hardlink('c', 'a', { mode: 0o755 })],
    ]
    const linked = await treeOf(sequence)
    const other = sandbox.make('linked')
    for (const layer of sequence) await sandbox.apply(other, layer)
    expect(differences(linked, other).found).toEqual([])
    unlinkSync(join(other, 'b'))
    writeFileSync(join(other, 'b'), readFileSync(join(other, 'a')), { mode: 0o600 })
    expect(differences(linked, other).found).toEqual([])
    chmodSync(join(other, 'a'), 0o600)
    expect(differences(linked, other).found.map(({ path, code }) => `${code} ${path}`)).toEqual(['MODE a', 'MODE c'])
  })
})
