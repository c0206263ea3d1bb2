import { createHash } from 'node:crypto'
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { AT_FDCWD, makeDevice, mknodAt, S_IFCHR, S_IFIFO, utimesAt } from '../../functions/linux/at.ts'
import { fromByteString, toByteString } from '../../functions/linux/bytes.ts'
import { must } from '../../functions/linux/libc.ts'
import { walk } from '../../functions/linux/walk.ts'
import { setXattrAt } from '../../functions/linux/xattr.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'layercast-walk-'))
})

afterEach(() => {
  rmSync(root, { recursive: true })
})

test('all kinds, each directory before its content, names in the order of their bytes', () => {
  mkdirSync(join(root, 'b'))
  writeFileSync(join(root, 'b/file'), 'content', { mode: 0o640 })
  linkSync(join(root, 'b/file'), join(root, 'a'))
  symlinkSync('/anywhere', join(root, 'b-link'))
  must(mknodAt(AT_FDCWD, join(root, 'c'), S_IFCHR | 0o600, makeDevice(259, 70_000)), 'mknodAt', root)
  must(mknodAt(AT_FDCWD, join(root, 'd'), S_IFIFO | 0o600), 'mknodAt', root)
  writeFileSync(Buffer.from(`${root}/\xff`, 'latin1'), '')
  must(setXattrAt(AT_FDCWD, join(root, 'b'), 'user.b', '2'), 'setXattrAt', root)
  must(setXattrAt(AT_FDCWD, join(root, 'b'), 'user.a', '\xff\0'), 'setXattrAt', root)
  must(
    utimesAt(AT_FDCWD, join(root, 'b-link'), { seconds: 1, nanoseconds: 2 }, { seconds: 3, nanoseconds: 999_999_999 }),
    'utimesAt',
    root,
  )

  const entries = [...walk(root, { contents: true })]
  expect(entries.map((entry) => [entry.path, entry.kind])).toEqual([
    ['', 'directory'],
    ['a', 'file'],
    ['b', 'directory'],
    ['b/file', 'file'],
    ['b-link', 'symlink'],
    ['c', 'char'],
    ['d', 'fifo'],
    ['\xff', 'file'],
  ])
  const at = Object.fromEntries(entries.map((entry) => [entry.path, entry]))
  const sha256 = createHash('sha256').update('content').digest('hex')
  expect(at['a']).toMatchObject({ mode: 0o640, size: 7, links: 2, inode: at['b/file']?.inode, sha256 })
  expect(at['b']?.xattrs).toEqual([
    ['user.a', '\xff\0'],
    ['user.b', '2'],
  ])
  expect(at['b-link']).toMatchObject({
    target: '/anywhere',
    atime: { seconds: 1, nanoseconds: 2 },
    mtime: { seconds: 3, nanoseconds: 999_999_999 },
  })
  expect(at['c']).toMatchObject({ major: 259, minor: 70_000, mode: 0o600 })
})

test('contents are read only when asked for', () => {
  writeFileSync(join(root, 'f'), 'x')
  expect([...walk(root)][1]).not.toHaveProperty('sha256')
})

test('a directory that is not there is named', () => {
  expect(() => [...walk(join(root, 'missing'))]).toThrow(
    expect.objectContaining({ code: 'SYSTEM_CALL_FAILED', detail: expect.objectContaining({ errno: 'ENOENT' }) }),
  )
})

test('byte strings keep every name', () => {
  expect(toByteString('ä/€')).toBe('\xc3\xa4/\xe2\x82\xac')
  expect(fromByteString(toByteString('ä/€'))).toBe('ä/€')
})
