import { chmodSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeDirectory } from '../../functions/linux/make-directory.ts'

let base: string
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'layercast-make-'))
})
afterAll(() => rmSync(base, { recursive: true, force: true }))

test('makes what is missing with the mode, and leaves what is there as it is', () => {
  chmodSync(base, 0o750)
  makeDirectory(join(base, 'a/b/c'), 0o700)
  makeDirectory(join(base, 'a/b/c'), 0o711)
  expect(statSync(join(base, 'a/b/c')).mode & 0o777).toBe(0o700)
  expect(statSync(join(base, 'a')).mode & 0o777).toBe(0o700)
  expect(statSync(base).mode & 0o777).toBe(0o750)
})

test.each(['file', 'file/below', 'dangling'])('%s: what is in the way is told of', (name) => {
  writeFileSync(join(base, 'file'), '')
  rmSync(join(base, 'dangling'), { force: true })
  symlinkSync(join(base, 'nothing/there'), join(base, 'dangling'))
  expect(() => makeDirectory(join(base, name), 0o700)).toThrow(/EEXIST|ENOTDIR|ENOENT/)
})

test('ends where a file system knows no new directories', () => {
  expect(() => makeDirectory('/proc/layercast/below', 0o700)).toThrow('ENOENT')
})
