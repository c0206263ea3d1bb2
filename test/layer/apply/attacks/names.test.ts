/** Names and targets that lead out of the root, hide it, or are none. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { device, dir, fifo, file, hardlink, opaque, other, symlink, whiteout } from '../../../support/images/entries.ts'
import { list } from '../../support/sandbox.ts'
import { UNTOUCHED, refusal, useAttacks } from './support.ts'

const { sandbox, scene, outsideOf, attempt, taken } = useAttacks()

// As containerd and umoci take them: `..` ends at the layer's root, as it does at the root of a file system. Such names
// are in archives of other systems, and what they come to is below the root, so that to refuse them protects nothing.
describe('names', () => {
  test.each(['../outside/secret', 'a/../../outside/secret', '/../outside/secret', './../outside/secret'])(
    'dot-dot is taken below the root, and nothing outside changes: %s',
    async (name) => expect(await taken([file(name, 'pwned')])).toEqual({ 'outside/secret': undefined }),
  )

  test.each(['..', '../..', '/..', 'a/../..', '../.', '..//'])(
    'a name that comes to the root is passed over: %s',
    async (name) => {
      expect(await taken([file(name, 'pwned'), file('kept', '')])).toEqual({ kept: undefined })
      expect(await taken([dir(name, { mode: 0o777, uid: 7 }), file('kept', '')])).toEqual({ kept: undefined })
    },
  )

  test.each(['../outside/secret', '/../outside/secret', 'a/../../outside/secret'])(
    'dot-dot in a hard link is taken below the root, and nothing outside changes: %s',
    async (to) => {
      expect(await attempt([hardlink('link', to)])).toMatchObject(refusal('LAYER_CORRUPT', /is not there/))
      expect(await taken([file('outside/secret', 'own'), hardlink('link', to)])).toEqual({
        link: 'link',
        'outside/secret': 'link',
      })
    },
  )

  test('a hard link whose target comes to the root stays refused', async () => {
    for (const to of ['..', '/../..', 'a/../..']) {
      expect(await attempt([hardlink('a', to)])).toMatchObject(refusal('LAYER_UNSAFE', /the root for its target/))
    }
  })

  test.each([whiteout('../gone'), whiteout('../outside/secret'), opaque('../outside'), opaque('..')])(
    'a whiteout with dot-dot hides below the root alone: $path',
    async (entry) => {
      const place = scene()
      await sandbox.apply(place.root, [file('gone', ''), file('outside/secret', '')])
      await sandbox.apply(place.root, [entry])
      expect(Object.values(list(place.root)).filter(({ kind }) => kind === 'file').length).toBeLessThan(2)
      expect(outsideOf(place)).toEqual(UNTOUCHED)
    },
  )

  test.each(['.wh..', '.wh...', '.wh.', 'a/.wh..', 'a/b/.wh...', '../.wh...', '/../../.wh..'])(
    'a whiteout of . or .. or nothing: %s',
    async (name) => {
      const place = scene()
      await sandbox.apply(place.root, [file('a/b/kept', '')])
      await expect(sandbox.apply(place.root, [file(name, '')])).rejects.toMatchObject({ code: 'LAYER_UNSAFE' })
      expect(existsSync(join(place.root, 'a/b/kept'))).toBe(true)
      expect(outsideOf(place)).toEqual(UNTOUCHED)
    },
  )

  test('a path through what the same layer says is no directory', async () => {
    for (const leaf of [file('a/b', 'x'), fifo('a/b'), device('a/b', 'char', 1, 3)]) {
      expect(await attempt([leaf, file('a/b/c', '')])).toMatchObject(refusal('LAYER_CORRUPT', /is no directory/))
    }
  })

  test('an entry below a whiteout', async () =>
    expect(await attempt([file('.wh.a/b', '')])).toMatchObject(refusal('LAYER_UNSAFE', /below the whiteout/)))

  test('an absolute name counts from the root', async () => {
    const place = scene()
    await sandbox.apply(place.root, [file(`${place.outside}/secret`, 'pwned')])
    expect(readFileSync(join(place.root, place.outside, 'secret'), 'utf8')).toBe('pwned')
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test('dot-dot within the root is resolved before links are, as in Go', async () => {
    const place = scene()
    await sandbox.apply(place.root, [dir('deep/er'), symlink('link', 'deep/er'), file('link/../here', 'x')])
    expect(Object.keys(list(place.root))).toEqual(['deep', 'deep/er', 'here', 'link'])
  })

  test('the PAX path wins over the header, and is taken below the root as well', async () =>
    expect(await taken([file('innocent', 'pwned', { pax: { path: '../outside/secret' } })])).toEqual({
      'outside/secret': undefined,
    }))

  test('the PAX linkpath is taken below the root as well', async () =>
    expect(await attempt([hardlink('a', 'innocent', { pax: { linkpath: '../outside/secret' } })])).toMatchObject(
      refusal('LAYER_CORRUPT', /"outside\/secret" is not there/),
    ))

  test('the name of a PAX sparse file is taken below the root as well', async () =>
    expect(
      await taken([
        file('a', '', {
          pax: {
            'GNU.sparse.major': '0',
            'GNU.sparse.minor': '1',
            'GNU.sparse.numblocks': '0',
            'GNU.sparse.name': '../outside/secret',
          },
        }),
      ]),
    ).toEqual({ 'outside/secret': undefined }))

  test('a GNU long name is taken below the root as well', async () =>
    expect(await taken([other('x', 'L', { data: '../outside/secret\0' }), file('innocent', 'pwned')])).toEqual({
      'outside/secret': undefined,
    }))

  test('names of other systems are plain names: backslashes and drives lead nowhere', async () =>
    expect(await taken([file('c:/../../one', ''), file('\\..\\two', ''), file('//?/UNC/../three', '')])).toEqual({
      '?/three': undefined,
      '\\..\\two': undefined,
      one: undefined,
    }))

  test('a NUL in a PAX path', async () => {
    const place = scene()
    const entries = [file('a', '', { pax: { path: 'a\0../../outside/secret' } })]
    await expect(sandbox.apply(place.root, entries)).rejects.toMatchObject({ code: 'LAYER_CORRUPT' })
    expect(outsideOf(place)).toEqual(UNTOUCHED)
  })

  test('a name of 4096 bytes', async () =>
    expect(await attempt([file(`${'a/'.repeat(2047)}bb`, '')])).toMatchObject(
      refusal('LAYER_UNSAFE', /4096 bytes, more than 4095/),
    ))

  test('a component of 256 bytes', async () =>
    expect(await attempt([file('a'.repeat(256), '')])).toMatchObject(refusal('LAYER_UNSAFE', /more than 255 bytes/)))

  test('a symbolic link to a target of 4096 bytes', async () =>
    expect(await attempt([symlink('a', 'b'.repeat(4096))])).toMatchObject(refusal('LAYER_UNSAFE', /4096 bytes/)))

  test('a name that is no UTF-8 is kept byte by byte', async () => {
    const place = scene()
    await sandbox.apply(place.root, [file('x', '', { pax: { path: Buffer.from([0x66, 0xff, 0xfe]) } })])
    expect(Object.keys(list(place.root))).toEqual(['f\xff\xfe'])
  })
})
