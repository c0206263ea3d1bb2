/** Symbolic and hard links that lead out of the root. */
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { device, dir, file, hardlink, opaque, symlink, whiteout } from '../../../support/images/entries.ts'
import { list } from '../../support/sandbox.ts'
import { UNTOUCHED, refusal, useAttacks } from './support.ts'

const { sandbox, scene, outsideOf, attempt } = useAttacks()

describe('links', () => {
  test('a file through a symbolic link to the outside lands inside', async () => {
    const place = scene()
    await sandbox.apply(place.root, [symlink('out', place.outside), file('out/secret', 'pwned'), dir('out/new')])
    expect(readFileSync(join(place.root, place.outside, 'secret'), 'utf8')).toBe('pwned')
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test('a relative symbolic link with more dot-dot than there are directories', async () => {
    const place = scene()
    await sandbox.apply(place.root, [symlink('a/b/out', '../../../../outside'), file('a/b/out/secret', 'pwned')])
    expect(readFileSync(join(place.root, 'outside/secret'), 'utf8')).toBe('pwned')
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test('the symbolic link was there before, in a lower layer', async () => {
    const place = scene()
    symlinkSync(place.outside, join(place.root, 'out'))
    await sandbox.apply(place.root, [file('out/secret', 'pwned'), whiteout('out/secret'), opaque('out')])
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test('a file over a symbolic link to the outside replaces the link', async () => {
    const place = scene()
    await sandbox.apply(place.root, [symlink('link', join(place.outside, 'secret')), file('link', 'pwned', { uid: 7 })])
    expect(list(place.root)).toMatchObject({ link: { kind: 'file', uid: 7, size: 5 } })
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test.each([
    ['device', device('link', 'char', 1, 3, { mode: 0o777 })],
    ['directory', dir('link', { mode: 0o777 })],
    ['symbolic link', symlink('link', 'elsewhere', { uid: 9 })],
  ])('a %s over a symbolic link to the outside replaces the link', async (_, entry) => {
    const place = scene()
    await sandbox.apply(place.root, [symlink('link', join(place.outside, 'secret')), entry])
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test('a whiteout of a symbolic link removes the link alone', async () => {
    const place = scene()
    symlinkSync(place.outside, join(place.root, 'link'))
    await sandbox.apply(place.root, [whiteout('link')])
    expect(readdirSync(place.root)).toEqual([])
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test('removing a directory does not follow the links in it', async () => {
    const place = scene()
    mkdirSync(join(place.root, 'd/e'), { recursive: true })
    symlinkSync(place.outside, join(place.root, 'd/e/link'))
    await sandbox.apply(place.root, [whiteout('d')])
    expect(readdirSync(place.root)).toEqual([])
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test('a hard link to a symbolic link to the outside, then written through', async () => {
    const place = scene()
    await sandbox.apply(place.root, [
      symlink('link', join(place.outside, 'secret')),
      hardlink('hard', 'link', { mode: 0o666, uid: 7 }),
      file('hard', 'pwned'),
    ])
    expect(list(place.root)).toMatchObject({ hard: { kind: 'file' }, link: { kind: 'symlink' } })
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test('a hard link through a symbolic link to the outside', async () => {
    const place = scene()
    const entries = [symlink('out', place.outside), hardlink('stolen', 'out/secret')]
    await expect(sandbox.apply(place.root, entries)).rejects.toMatchObject({
      code: 'LAYER_CORRUPT',
      message: expect.stringContaining('is not there'),
    })
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test.each(['/proc/self/root/etc/passwd', '/proc/self/cwd/x'])('through a magic link of /proc: %s', async (target) => {
    const place = scene()
    // The root holds a /proc of its own as far as links go: a plain directory.
    await sandbox.apply(place.root, [symlink('magic', target), file('magic/file', 'x')])
    expect(existsSync(join(place.root, target, 'file'))).toBe(true)
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test('symbolic links in a circle', async () =>
    expect(await attempt([symlink('a', 'b'), symlink('b', 'a'), file('a/x', '')])).toMatchObject(
      refusal('LAYER_UNSAFE', /symbolic links/),
    ))

  test('a hard link to the root, to a directory, to itself, to nothing', async () => {
    expect(await attempt([hardlink('a', '/')])).toMatchObject(refusal('LAYER_UNSAFE', /the root for its target/))
    expect(await attempt([dir('d'), hardlink('a', 'd')])).toMatchObject(refusal('LAYER_CORRUPT', /is a directory/))
    expect(await attempt([file('a', ''), hardlink('a', 'a')])).toMatchObject(refusal('LAYER_CORRUPT', /is not there/))
    expect(await attempt([hardlink('a', 'missing/b')])).toMatchObject(refusal('LAYER_CORRUPT', /is not there/))
  })
})
