import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  mkdirAt,
  O_PATH,
  O_RDONLY,
  openAt,
  readlinkAt,
  renameAt,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  statAt,
  symlinkAt,
} from '../../functions/linux/at.ts'
import { errno, must, systemError } from '../../functions/linux/libc.ts'

let root: string
let fd: number

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'layercast-at-'))
  fd = openSync(root, 'r')
})

afterEach(() => {
  closeSync(fd)
  rmSync(root, { recursive: true })
})

describe('openat2', () => {
  test('RESOLVE_IN_ROOT keeps absolute links and dot-dot within', () => {
    mkdirSync(join(root, 'etc'))
    writeFileSync(join(root, 'etc/passwd'), 'inside')
    symlinkSync('/etc/passwd', join(root, 'link'))
    for (const path of ['link', '/etc/passwd', '../../../etc/passwd']) {
      const file = must(openAt(fd, path, O_RDONLY, { resolve: RESOLVE_IN_ROOT }), 'openat2', path)
      expect(readFileSync(file, 'utf8')).toBe('inside')
      closeSync(file)
    }
    expect(openAt(fd, 'link', O_RDONLY, { resolve: RESOLVE_NO_SYMLINKS })).toBe(-errno.ELOOP)
  })

  test('magic links of /proc are refused', () => {
    const proc = openSync('/proc', 'r')
    try {
      const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
      expect(openAt(proc, 'self/root', O_PATH, { resolve })).toBe(-errno.ELOOP)
    } finally {
      closeSync(proc)
    }
  })
})

test('a name with a NUL or of more than a path is refused before the kernel would cut it', () => {
  expect(mkdirAt(fd, 'a\0b', 0o755)).toBe(-errno.EINVAL)
  expect(mkdirAt(fd, 'a'.repeat(4096), 0o755)).toBe(-errno.ENAMETOOLONG)
  expect(symlinkAt('x\0', fd, 'l')).toBe(-errno.EINVAL)
  expect(statAt(fd, 'a')).toBe(-errno.ENOENT)
})

test('the text of a link, byte by byte', () => {
  expect(symlinkAt('\xff/\xe4', fd, 'l')).toBe(0)
  expect(readlinkAt(fd, 'l')).toBe('\xff/\xe4')
  expect(readlinkAt(fd, 'missing')).toBe(-errno.ENOENT)
})

test('rename replaces, keeps or exchanges', () => {
  writeFileSync(join(root, 'a'), 'a')
  writeFileSync(join(root, 'b'), 'b')
  expect(renameAt(fd, 'a', fd, 'b', 'keep')).toBe(-errno.EEXIST)
  expect(renameAt(fd, 'a', fd, 'b', 'exchange')).toBe(0)
  expect(readFileSync(join(root, 'a'), 'utf8')).toBe('b')
  expect(renameAt(fd, 'a', fd, 'b', 'replace')).toBe(0)
  expect(readFileSync(join(root, 'b'), 'utf8')).toBe('b')
})

describe('errors', () => {
  test('carry call, error number and path, and say what to do', () => {
    expect(systemError('mount', -errno.EPERM, '/x')).toMatchObject({
      code: 'SYSTEM_CALL_FAILED',
      message: 'mount failed on "/x": EPERM',
      detail: { call: 'mount', errno: 'EPERM', path: '/x' },
      fix: expect.stringContaining('root'),
    })
    expect(systemError('openat2', -errno.ENOSYS, '/x').fix).toContain('kernel of 5.6')
    expect(systemError('x', -4000, '/x').message).toContain('errno 4000')
  })

  test('must lets results through', () => {
    expect(must(3, 'x', 'y')).toBe(3)
    expect(() => must(-errno.ENOENT, 'x', 'y')).toThrow('ENOENT')
  })
})
