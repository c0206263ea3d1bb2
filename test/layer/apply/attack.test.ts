import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { LayercastError } from '../../../functions/errors.ts'
import type { Ignored } from '../../../functions/layer/apply/types.ts'
import {
  device,
  dir,
  fifo,
  file,
  hardlink,
  opaque,
  other,
  raw,
  sparse,
  symlink,
  whiteout,
  type TarEntry,
} from '../../support/images/entries.ts'
import { MEDIA_TYPES } from '../../support/images/image.ts'
import { writeTar } from '../../support/images/tar.ts'
import { list, mountsBelow, useSandbox } from '../support/sandbox.ts'

// Every attack has a file beside the root that it would reach, with content that must stay.
const sandbox = useSandbox()

interface Scene {
  root: string
  /** Beside the root: what no layer may touch. */
  outside: string
}

function scene(): Scene {
  const scenery = { root: sandbox.make('root'), outside: sandbox.make('outside') }
  sandbox.make('outside/sub')
  writeFileSync(join(scenery.outside, 'secret'), 'secret', { mode: 0o600 })
  return scenery
}

const UNTOUCHED = { names: ['secret', 'sub'], sub: [], secret: 'secret', mode: 0o600, uid: 0, links: 1, mounts: [] }

function outsideOf({ outside }: Scene): typeof UNTOUCHED {
  const { mode, uid, nlink } = lstatSync(join(outside, 'secret'))
  return {
    names: readdirSync(outside),
    sub: readdirSync(join(outside, 'sub')) as [],
    secret: readFileSync(join(outside, 'secret'), 'utf8'),
    mode: mode & 0o7777,
    uid,
    links: nlink,
    mounts: mountsBelow(sandbox.directory) as [],
  }
}

/** What comes of a layer that is to be refused: the error, and the outside afterwards. */
async function attempt(entries: readonly TarEntry[]): Promise<{ error: unknown; outside: typeof UNTOUCHED }> {
  const place = scene()
  const error = await sandbox.apply(place.root, entries).then(
    () => 'no error',
    (reason: unknown) => reason,
  )
  return { error, outside: outsideOf(place) }
}

const refusal = (code: string, message: RegExp): object => ({
  error: {
    code,
    message: expect.stringMatching(message),
    detail: { entry: expect.any(String), layer: expect.stringMatching(/^sha256:/) },
    fix: expect.any(String),
  },
  outside: UNTOUCHED,
})

/** What comes of a layer that is taken: what is in the root then. Nothing outside has changed. */
async function taken(entries: readonly TarEntry[]): Promise<Record<string, string | undefined>> {
  const place = scene()
  await sandbox.apply(place.root, entries)
  expect(outsideOf(place)).toEqual(UNTOUCHED)
  const files = Object.entries(list(place.root)).filter(([, { kind }]) => kind !== 'directory')
  return Object.fromEntries(files.map(([path, { group }]) => [path, group]))
}

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

  test(
    'a directory swapped for a symbolic link to the outside, over and over, while the layer is written',
    {
      timeout: 60_000,
    },
    async () => {
      const place = scene()
      for (const name of ['d/sub', 'e']) mkdirSync(join(place.root, name), { recursive: true })
      symlinkSync('d/sub', join(place.root, 'via'))
      symlinkSync(place.outside, join(place.root, 'swap'))
      const at = new URL('../../../functions/linux/at.ts', import.meta.url).href
      const code = `import { openSync } from 'node:fs'
      import { renameAt } from ${JSON.stringify(at)}
      const root = openSync(process.argv[1], 'r')
      let count = 0
      console.log('ready')
      for (;;) if (renameAt(root, 'd', root, 'swap', 'exchange') === 0) count++`
      const racer = spawn(process.execPath, ['--input-type=module', '-e', code, place.root], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      try {
        await once(racer.stdout, 'data')
        const entries = Array.from({ length: 20 }, (_, index) => [
          file(`d/secret`, `pwned ${index}`),
          file(`e/f${index}`, ''),
          whiteout(`d/secret`),
          file(`e/g${index}`, ''),
          hardlink(`e/h${index}`, `e/g${index}`),
          dir(`d/x${index}`, { mode: 0o777 }),
          file(`via/f${index}`, 'pwned'),
        ]).flat()
        // What the racer breaks makes most layers fail soon; none may escape.
        for (let round = 0; round < 80; round++) {
          await sandbox.apply(place.root, entries).catch((error: unknown) => {
            if (!(error instanceof LayercastError)) throw error
          })
          expect(outsideOf(place)).toEqual(UNTOUCHED)
        }
      } finally {
        racer.kill('SIGKILL')
        await once(racer, 'exit')
      }
    },
  )
})

describe('metadata', () => {
  test('setuid and setgid survive the change of owner', async () => {
    const place = scene()
    await sandbox.apply(place.root, [
      file('suid', 'x', { mode: 0o6755, uid: 12, gid: 34 }),
      hardlink('same', 'suid', { mode: 0o6755, uid: 12, gid: 34 }),
      dir('sgid', { mode: 0o2775, gid: 34 }),
      file('sgid/child', ''),
      file('implied/x', ''),
    ])
    expect(list(place.root)).toMatchObject({
      suid: { mode: 0o6755, uid: 12, gid: 34 },
      same: { mode: 0o6755 },
      sgid: { mode: 0o2775, gid: 34 },
      'sgid/child': { gid: 0, mode: 0o644 },
    })
  })

  test('attributes of overlayfs itself are not taken from a layer', async () => {
    const place = scene()
    const ignored: string[] = []
    await sandbox.apply(
      place.root,
      [
        dir('d', { xattrs: { 'trusted.overlay.redirect': '/../../outside', 'trusted.overlay.opaque': 'y' } }),
        file('f', '', { xattrs: { 'trusted.overlay.metacopy': '', 'user.fine': '1' } }),
        symlink('s', 'x', { xattrs: { 'user.impossible': '1' } }),
      ],
      { onIgnored: ({ path, what, reason, here }) => ignored.push(`${path}: ${what}: ${reason}: ${here}`) },
    )
    expect(list(place.root)).toMatchObject({
      d: { xattrs: [] },
      f: { xattrs: [['user.fine', '1']] },
      s: { xattrs: [] },
    })
    expect(ignored).toEqual([
      'd: trusted.overlay.redirect attribute: trusted attributes are not taken from layers: false',
      'd: trusted.overlay.opaque attribute: trusted attributes are not taken from layers: false',
      'f: trusted.overlay.metacopy attribute: trusted attributes are not taken from layers: false',
      's: user.impossible attribute: only files and directories have user attributes: false',
    ])
  })

  test('an attribute longer than Linux allows', async () => {
    expect(await attempt([file('f', '', { xattrs: { 'user.a': 'x'.repeat(65537) } })])).toMatchObject(
      refusal('LAYER_TOO_LARGE', /attribute/),
    )
    expect(await attempt([file('f', '', { xattrs: { [`user.${'a'.repeat(251)}`]: '' } })])).toMatchObject(
      refusal('LAYER_TOO_LARGE', /attribute/),
    )
  })

  test('a file system without attributes takes the files without them, and says so', async () => {
    const ramfs = { type: 'ramfs', source: 'ramfs', target: '', options: [] }
    const ignored: string[] = []
    const onIgnored = ({ path, what, reason, here }: Ignored): number =>
      ignored.push(`${path}: ${what}: ${reason}: ${here}`)
    await sandbox.apply([ramfs], [file('f', '', { xattrs: { 'user.a': 'x' } })], { onIgnored })
    expect(ignored).toEqual(['f: user.a attribute: the file system does not support these attributes: true'])
  })

  test('owners and devices that Linux cannot hold', async () => {
    expect(await attempt([file('f', '', { pax: { uid: '-1' } })])).toMatchObject(refusal('LAYER_CORRUPT', /owner -1/))
    expect(await attempt([file('f', '', { pax: { gid: '4294967295' } })])).toMatchObject(
      refusal('LAYER_CORRUPT', /owner 4294967295/),
    )
    expect(await attempt([device('d', 'char', 4096, 0)])).toMatchObject(refusal('LAYER_CORRUPT', /device number/))
  })

  test('the time before 1970 and the end of time become 1970, as with containerd', async () => {
    const place = scene()
    await sandbox.apply(place.root, [file('before', '', { mtime: -5 }), file('after', '', { mtime: 9_300_000_000 })])
    expect(list(place.root)).toMatchObject({
      before: { mtime: { seconds: 0, nanoseconds: 0 } },
      after: { mtime: { seconds: 0, nanoseconds: 0 } },
    })
  })

  test("aufs's own files are passed over, and a hard link to one is named", async () => {
    const place = scene()
    await sandbox.apply(place.root, [
      file('.wh..wh.aufs', ''),
      dir('.wh..wh.plnk'),
      file('.wh..wh.plnk/12.34', 'x'),
      dir('.wh..wh.orph'),
      file('kept', ''),
    ])
    expect(Object.keys(list(place.root))).toEqual(['kept'])
    expect(await attempt([hardlink('a', '.wh..wh.plnk/12.34')])).toMatchObject(refusal('LAYER_UNSUPPORTED', /aufs/))
  })

  test('entries of a type that layers do not have', async () =>
    expect(await attempt([other('v', 'V')])).toMatchObject(refusal('LAYER_UNSUPPORTED', /type "V"/)))
})

describe('sizes', () => {
  test('a sparse file of exabytes', async () =>
    expect(
      await attempt([
        file('bomb', '', {
          pax: {
            'GNU.sparse.major': '0',
            'GNU.sparse.minor': '1',
            'GNU.sparse.numblocks': '0',
            'GNU.sparse.size': '1000000000000000000',
          },
        }),
      ]),
    ).toMatchObject(refusal('LAYER_TOO_LARGE', /files come to more than/)))

  test('holes stay holes', async () => {
    const place = scene()
    await sandbox.apply(place.root, [
      sparse('holes', 2 ** 32, [{ offset: 2 ** 31, data: new Uint8Array(512).fill(1) }]),
    ])
    const stat = lstatSync(join(place.root, 'holes'))
    expect(stat.size).toBe(2 ** 32)
    expect(stat.blocks).toBeLessThan(64)
  })

  test('a size that reaches beyond the archive', async () =>
    expect(await attempt([file('liar', 'x', { pax: { size: '1000000' } })])).toMatchObject(
      refusal('LAYER_CORRUPT', /cut short/),
    ))

  test('a size in PAX that is larger than the header has: what follows is data, no entry', async () => {
    const place = scene()
    const inner = writeTar([file('hidden', 'x')])
    await sandbox.apply(place.root, [file('outer', inner.subarray(0, 1024), {}), file('next', '')])
    expect(Object.keys(list(place.root))).toEqual(['next', 'outer'])
  })

  test('a sparse map that tells of more, or of less, than the archive holds', async () => {
    const map = (text: string, count: string): Record<string, string> => ({
      'GNU.sparse.major': '0',
      'GNU.sparse.minor': '1',
      'GNU.sparse.numblocks': count,
      'GNU.sparse.map': text,
      'GNU.sparse.size': '100',
    })
    expect(await attempt([file('a', 'abc'), file('f', 'xyz', { pax: map('0,5', '1') })])).toMatchObject(
      refusal('LAYER_CORRUPT', /tells of 5 bytes/),
    )
    expect(await attempt([file('a', 'abc'), file('f', 'xyz', { pax: map('0,2', '1') })])).toMatchObject(
      refusal('LAYER_CORRUPT', /tells of 2 bytes/),
    )
    expect(await attempt([file('a', 'abc'), file('f', 'xyz', { pax: map('5,2,4,1', '2') })])).toMatchObject(
      refusal('LAYER_CORRUPT', /order or bounds/),
    )
    expect(await attempt([file('a', 'abc'), file('f', 'xyz', { pax: map('98,3', '1') })])).toMatchObject(
      refusal('LAYER_CORRUPT', /order or bounds/),
    )
  })

  test('too many entries', async () => {
    const place = scene()
    const entries = Array.from({ length: 11 }, (_, index) => file(`f${index}`, ''))
    await expect(sandbox.apply(place.root, entries, { limits: { entries: 10 } })).rejects.toMatchObject({
      code: 'LAYER_TOO_LARGE',
      detail: { entries: 10, entry: 'f10' },
    })
  })

  test('a layer that expands beyond the limit, before all of it is written', async () => {
    const bomb = zstdCompressSync(writeTar([file('zeros', new Uint8Array(1 << 24))]))
    const mediaType = MEDIA_TYPES.oci.layer.zstd
    const place = scene()
    await expect(sandbox.apply(place.root, bomb, { mediaType, limits: { size: 1 << 20 } })).rejects.toMatchObject({
      code: 'LAYER_TOO_LARGE',
    })
    await expect(
      sandbox.apply(place.root, bomb, { mediaType, limits: { ratio: 100, ratioFrom: 1 << 20 } }),
    ).rejects.toMatchObject({ code: 'LAYER_TOO_LARGE', message: expect.stringContaining('100 times') })
    expect(lstatSync(join(place.root, 'zeros')).size).toBeLessThan(1 << 23)
  })

  test('an extended header of megabytes', async () =>
    expect(await attempt([file('a', ''), file('b', '', { pax: { comment: 'x'.repeat(1 << 20) } })])).toMatchObject(
      refusal('LAYER_CORRUPT', /extended header/),
    ))

  test('garbage between entries', async () =>
    expect(await attempt([file('a', 'x'), raw(Buffer.alloc(512, 0xaa)), file('b', '')])).toMatchObject(
      refusal('LAYER_CORRUPT', /checksum/),
    ))

  test('a directory of two thousand levels is made and removed', { timeout: 60_000 }, async () => {
    const place = scene()
    await sandbox.apply(place.root, [file(`${'d/'.repeat(2000)}f`, '')])
    await sandbox.apply(place.root, [whiteout('d')])
    expect(readdirSync(place.root)).toEqual([])
  })
})
