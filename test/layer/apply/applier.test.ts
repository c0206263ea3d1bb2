import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { device, dir, fifo, file, hardlink, opaque, sparse, symlink, whiteout } from '../../support/images/entries.ts'
import { describe as describeBytes, digestOf, MEDIA_TYPES } from '../../support/images/image.ts'
import { writeTar } from '../../support/images/tar.ts'
import { chunksOf, list, mountsBelow, overlayOf, useSandbox } from '../support/sandbox.ts'

const sandbox = useSandbox()

describe('one layer into an empty directory', () => {
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex')
  const everything = [
    dir('./', { mode: 0o700, uid: 5 }),
    dir('etc', { mode: 0o750, uid: 7, gid: 8, mtime: 1_600_000_000.25 }),
    file('etc/passwd', 'root:x:0:0\n', { mode: 0o640, uid: 1, gid: 2, mtime: 1_500_000_000 }),
    file('bin/su', 'ELF', { mode: 0o4755 }),
    file('bin/ping', 'ELF', { mode: 0o755, uid: 3, xattrs: { 'security.capability': capability } }),
    symlink('bin/sh', '/bin/su', { mtime: 1000, uid: 9 }),
    symlink('dangling', '../../../nowhere', {}),
    hardlink('bin/su2', 'bin/su', { mode: 0o4755 }),
    hardlink('bin/sh2', '/bin/sh', {}),
    device('dev/null', 'char', 1, 3, { mode: 0o666 }),
    device('dev/sda', 'block', 8, 300_000, { mode: 0o660, gid: 6 }),
    fifo('run/pipe', { mode: 0o622, mtime: 5 }),
    dir('tmp', { mode: 0o1777, xattrs: { 'user.note': 'hi' } }),
    sparse('var/sparse', 1_000_000, [{ offset: 4096, data: new Uint8Array(512).fill(7) }]),
    file(`${'long/'.repeat(60)}name`, 'x'),
    file('große Datei', 'y', { uid: 4_000_000_000, gid: 2_500_000 }),
  ]

  test('kinds, modes, owners, times, attributes and links are as the layer says', async () => {
    const root = sandbox.make('root')
    const tar = writeTar(everything)
    const applied = await sandbox.apply(root, tar)
    expect(applied).toMatchObject({ diffID: digestOf(tar), size: tar.length })
    const got = list(root)
    const name = Buffer.from('große Datei').toString('latin1')
    expect(got).toMatchObject({
      etc: {
        kind: 'directory',
        mode: 0o750,
        uid: 7,
        gid: 8,
        mtime: { seconds: 1_600_000_000, nanoseconds: 250_000_000 },
      },
      'etc/passwd': { kind: 'file', mode: 0o640, uid: 1, gid: 2, size: 11, mtime: { seconds: 1_500_000_000 } },
      'bin/su': { mode: 0o4755, group: 'bin/su' },
      'bin/su2': { mode: 0o4755, group: 'bin/su' },
      'bin/ping': { uid: 3, xattrs: [['security.capability', capability.toString('latin1')]] },
      'bin/sh': { kind: 'symlink', target: '/bin/su', uid: 0, mtime: { seconds: 0 }, group: 'bin/sh' },
      'bin/sh2': { kind: 'symlink', group: 'bin/sh' },
      dangling: { kind: 'symlink', target: '../../../nowhere' },
      'dev/null': { kind: 'char', major: 1, minor: 3, mode: 0o666 },
      'dev/sda': { kind: 'block', major: 8, minor: 300_000, mode: 0o660, gid: 6 },
      'run/pipe': { kind: 'fifo', mode: 0o622, mtime: { seconds: 5 } },
      tmp: { mode: 0o1777, xattrs: [['user.note', 'hi']] },
      'var/sparse': { kind: 'file', size: 1_000_000 },
      bin: { kind: 'directory', mode: 0o755, uid: 0, gid: 0 },
      [name]: { uid: 4_000_000_000, gid: 2_500_000 },
    })
    expect(got[`${'long/'.repeat(60)}name`]).toMatchObject({ size: 1 })
    const data = readFileSync(join(root, 'var/sparse'))
    expect(data.subarray(4096, 4608).every((byte) => byte === 7)).toBe(true)
    expect(data.filter((byte) => byte !== 0)).toHaveLength(512)
    expect(mountsBelow(sandbox.directory)).toEqual([])
  })

  test.each([1, 511, 512, 513, 4096])('in chunks of %i bytes the tree is the same', async (size) => {
    const tar = writeTar(everything)
    const [one, two] = [sandbox.make('one'), sandbox.make('two')]
    await sandbox.apply(one, tar)
    await sandbox.apply(two, tar, { read: () => chunksOf(tar, size) })
    const late = { times: false }
    expect(list(two, late)).toEqual(list(one, late))
  })

  test.each([
    ['gzip', gzipSync, MEDIA_TYPES.oci.layer.gzip],
    ['zstd', zstdCompressSync, MEDIA_TYPES.oci.layer.zstd],
    ['gzip under a type without suffix', gzipSync, MEDIA_TYPES.docker.layer.none],
    ['zstd under the type of gzip', zstdCompressSync, MEDIA_TYPES.docker.layer.gzip],
    ['nothing under the type of gzip', (data: Uint8Array) => data, MEDIA_TYPES.oci.layer.gzip],
  ])('%s', async (_, pack, mediaType) => {
    const root = sandbox.make('root')
    const tar = writeTar(everything)
    const applied = await sandbox.apply(root, pack(tar), { mediaType })
    expect(applied).toMatchObject({ diffID: digestOf(tar), size: tar.length })
    expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).toBe('root:x:0:0\n')
  })

  describe('a layer large enough for a thread of its own', () => {
    const noise = randomBytes(5_000_000)
    const tar = writeTar([file('noise', noise), file('etc/after', 'x')])

    test.each([
      ['gzip', gzipSync, MEDIA_TYPES.oci.layer.gzip],
      ['zstd', zstdCompressSync, MEDIA_TYPES.oci.layer.zstd],
    ])('%s is written, and its diff ID and size given', async (_, pack, mediaType) => {
      const root = sandbox.make('root')
      const applied = await sandbox.apply(root, pack(tar), { mediaType })
      expect(applied).toMatchObject({ diffID: digestOf(tar), size: tar.length })
      expect(readFileSync(join(root, 'noise')).equals(noise)).toBe(true)
      expect(readFileSync(join(root, 'etc/after'), 'utf8')).toBe('x')
    })

    test('what is wrong is told as of any other: its data, its blob, an entry, an abort', async () => {
      const mediaType = MEDIA_TYPES.oci.layer.gzip
      const packed = gzipSync(tar)
      packed[packed.length - 6] = (packed.at(-6) ?? 0) ^ 1
      await expect(sandbox.apply(sandbox.make('a'), packed, { mediaType })).rejects.toMatchObject({
        code: 'LAYER_CORRUPT',
        detail: { core: 'GZIP_CRC' },
      })
      const { digest } = describeBytes(gzipSync(tar), mediaType)
      await expect(
        sandbox.apply(sandbox.make('b'), packed, { mediaType, descriptor: { digest } }),
      ).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
      const unsafe = gzipSync(writeTar([file('x', 'y'), file('.wh..', 'w'), file('noise', noise)]))
      await expect(sandbox.apply(sandbox.make('c'), unsafe, { mediaType })).rejects.toMatchObject({
        code: 'LAYER_UNSAFE',
      })
      const controller = new AbortController()
      const applying = sandbox.apply(sandbox.make('d'), gzipSync(tar), {
        mediaType,
        signal: controller.signal,
        onProgress: () => controller.abort(),
      })
      await expect(applying).rejects.toMatchObject({ code: 'ABORTED' })
    })
  })

  test('the diff ID covers what follows the end of the archive', async () => {
    const tar = Buffer.concat([writeTar([file('a', 'x')]), Buffer.from('something more'), writeTar([file('b', 'y')])])
    const root = sandbox.make('root')
    expect(await sandbox.apply(root, tar)).toMatchObject({ diffID: digestOf(tar), size: tar.length })
    expect(Object.keys(list(root))).toEqual(['a'])
  })

  test('no bytes at all are an empty layer', async () => {
    const nothing = new Uint8Array()
    expect(await sandbox.apply(sandbox.make('root'), nothing)).toMatchObject({ diffID: digestOf(nothing), size: 0 })
  })

  test('with sync, and progress up to the size of the blob', async () => {
    const tar = writeTar(everything)
    const seen: number[] = []
    await sandbox.apply(sandbox.make('root'), tar, { sync: true, onProgress: (bytes) => seen.push(bytes) })
    expect(seen.at(-1)).toBe(tar.length)
  })
})

describe('a layer over others', () => {
  const lower = [
    dir('a', { mtime: 100 }),
    file('a/keep', '1'),
    file('a/gone', '2'),
    dir('a/deep', { mtime: 50 }),
    file('a/deep/file', '3'),
    dir('opaque', { mtime: 100 }),
    file('opaque/old', '4'),
    dir('opaque/olddir'),
    file('opaque/olddir/x', '5'),
    symlink('link', 'a'),
    symlink('absolute', '/a/deep'),
    symlink('missing', 'made/on/demand'),
    file('becomesdir', ''),
    dir('becomesfile'),
    file('becomesfile/x', ''),
    dir('kept', { mode: 0o700, mtime: 100 }),
    file('kept/inside', ''),
  ]
  const upper = [
    whiteout('a/gone'),
    whiteout('nothing'),
    file('a/new', 'new'),
    file('opaque/new', 'kept although it comes first'),
    opaque('opaque'),
    file('opaque/later', ''),
    whiteout('a/deep'),
    file('link/through', 'link'),
    file('missing/file', 'made'),
    dir('becomesdir', { mode: 0o711 }),
    file('becomesdir/x', ''),
    file('becomesfile', 'now a file'),
    dir('kept', { mode: 0o555, mtime: 200, gid: 4 }),
    file('b', ''),
    whiteout('b'),
    hardlink('hard', 'link/keep'),
  ]

  type Kind = 'plain' | 'overlay' | 'fuse-overlayfs'
  const hasFuse = spawnSync('fuse-overlayfs', ['--version']).status === 0
  const kinds: Kind[] = ['plain', 'overlay', ...(hasFuse ? ['fuse-overlayfs' as const] : [])]

  async function applied(kind: Kind): Promise<string> {
    const root = sandbox.make('root')
    await sandbox.apply(root, lower)
    if (kind === 'plain') {
      await sandbox.apply(root, upper)
      return root
    }
    const kernel = overlayOf([root], sandbox.make('upper'), sandbox.make('work'))
    const mount = kind === 'overlay' ? kernel : { ...kernel, type: 'fuse3.fuse-overlayfs' }
    await sandbox.apply([mount], upper, { sync: true })
    const { mountAll } = await import('../../../functions/linux/mount.ts')
    await mountAll([mount], sandbox.make('merged'))
    return join(sandbox.directory, 'merged')
  }

  test.each(kinds)('%s: whiteouts, opaque directories and replacements', async (kind) => {
    const root = await applied(kind)
    const got = list(root)
    expect(Object.keys(got)).toEqual([
      'a',
      'a/keep',
      'a/new',
      'a/through',
      'absolute',
      'b',
      'becomesdir',
      'becomesdir/x',
      'becomesfile',
      'hard',
      'kept',
      'kept/inside',
      'link',
      'made',
      'made/on',
      'made/on/demand',
      'made/on/demand/file',
      'missing',
      'opaque',
      'opaque/later',
      'opaque/new',
    ])
    expect(got).toMatchObject({
      a: { mtime: { seconds: 100 } },
      opaque: { mtime: { seconds: 100 } },
      becomesdir: { kind: 'directory', mode: 0o711 },
      becomesfile: { kind: 'file', size: 10 },
      kept: { mode: 0o555, gid: 4, mtime: { seconds: 200 } },
      hard: { group: 'a/keep' },
    })
    expect(mountsBelow(join(sandbox.directory, 'mounts'))).toEqual([])
  })

  test('an upper directory alone is written as overlayfs keeps it', async () => {
    const root = sandbox.make('root')
    await sandbox.apply(root, lower)
    const layer = [
      whiteout('a/gone'),
      file('opaque/new', ''),
      opaque('opaque'),
      whiteout('becomesfile'),
      dir('becomesfile'),
      file('becomesfile/only', ''),
      dir('kept'),
      whiteout('kept'),
      whiteout('link'),
      whiteout('link'),
      file('link/implied', ''),
    ]
    const upperdir = sandbox.make('upper')
    const mount = { type: 'overlay', source: 'overlay', target: '', options: [`upperdir=${upperdir}`] }
    await sandbox.apply([mount], layer)
    expect(list(upperdir)).toMatchObject({
      'a/gone': { kind: 'char', major: 0, minor: 0 },
      opaque: { xattrs: [['trusted.overlay.opaque', 'y']] },
      becomesfile: { kind: 'directory', xattrs: [['trusted.overlay.opaque', 'y']] },
      kept: { xattrs: [['trusted.overlay.opaque', 'y']] },
      link: { kind: 'directory', xattrs: [['trusted.overlay.opaque', 'y']] },
    })
    const { mountAll } = await import('../../../functions/linux/mount.ts')
    await mountAll([overlayOf([upperdir, root], sandbox.make('u'), sandbox.make('w'))], sandbox.make('merged'))
    const merged = list(join(sandbox.directory, 'merged'))
    expect(Object.keys(merged).filter((path) => /^(a|opaque|becomesfile|kept|link)\b/.test(path))).toEqual([
      'a',
      'a/deep',
      'a/deep/file',
      'a/keep',
      'becomesfile',
      'becomesfile/only',
      'kept',
      'link',
      'link/implied',
      'opaque',
      'opaque/new',
    ])
  })
})

describe('what goes wrong', () => {
  test('a blob that is not what its digest says', async () => {
    const tar = writeTar([file('a', 'x')])
    const wrong = Buffer.from(tar)
    wrong[600] = 1
    const root = sandbox.make('root')
    await expect(sandbox.apply(root, tar, { read: () => chunksOf(wrong) })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    })
    await expect(sandbox.apply(root, tar, { read: () => chunksOf(tar.subarray(0, 1024)) })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      detail: { expected: tar.length, actual: 1024 },
    })
    await expect(sandbox.apply(root, tar, { read: () => chunksOf(Buffer.concat([tar, tar])) })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    })
  })

  test('when the damage makes the archive unreadable first, the digest is blamed all the same', async () => {
    const tar = Buffer.concat([writeTar([file('a', 'x')]), new Uint8Array(1 << 20)])
    const wrong = Buffer.from(tar)
    wrong[3] = 255
    await expect(sandbox.apply(sandbox.make('root'), tar, { read: () => chunksOf(wrong, 512) })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      cause: { code: 'LAYER_CORRUPT' },
    })
  })

  test('an archive cut short is corrupt, and the last entry is named', async () => {
    const tar = writeTar([file('first', 'x'), file('second', 'y'.repeat(2000))]).subarray(0, 2000)
    await expect(sandbox.apply(sandbox.make('root'), tar)).rejects.toMatchObject({
      code: 'LAYER_CORRUPT',
      message: expect.stringContaining('"second"'),
      detail: { entry: 'second' },
    })
    expect(mountsBelow(sandbox.directory)).toEqual([])
  })

  test('broken gzip is corrupt', async () => {
    const packed = gzipSync(writeTar([file('a', 'x')]))
    packed[packed.length - 6] = (packed.at(-6) ?? 0) ^ 1
    const applying = sandbox.apply(sandbox.make('root'), packed, { mediaType: MEDIA_TYPES.oci.layer.gzip })
    await expect(applying).rejects.toMatchObject({ code: 'LAYER_CORRUPT', detail: { core: 'GZIP_CRC' } })
  })

  test.each([
    `${MEDIA_TYPES.oci.layer.gzip}+encrypted`,
    'application/vnd.erofs.layer.v1',
    'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
  ])('a layer of type %s is unsupported', async (mediaType) => {
    const applying = sandbox.apply(sandbox.make('root'), [file('a', 'x')], { mediaType })
    await expect(applying).rejects.toMatchObject({ code: 'LAYER_UNSUPPORTED' })
  })

  test('aborted while the source waits for ever', async () => {
    const controller = new AbortController()
    const stuck = async function* (): AsyncGenerator<Uint8Array> {
      yield writeTar([file('a', 'x')]).subarray(0, 512)
      controller.abort(new Error('enough'))
      await new Promise(() => undefined)
    }
    const applying = sandbox.apply(sandbox.make('root'), [file('a', 'x')], { read: stuck, signal: controller.signal })
    await expect(applying).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } })
    expect(mountsBelow(sandbox.directory)).toEqual([])
  })

  test('an error of the source comes through as it is, and nothing stays mounted', async () => {
    const failure = new Error('the store is gone')
    // oxlint-disable-next-line require-yield
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      throw failure
    }
    const mount = overlayOf([sandbox.make('low')], sandbox.make('upper'), sandbox.make('work'))
    await expect(sandbox.apply([mount], [file('a', 'x')], { read: broken })).rejects.toBe(failure)
    expect(mountsBelow(sandbox.directory)).toEqual([])
  })

  test('no mounts', async () => {
    await expect(sandbox.apply([], [])).rejects.toMatchObject({ code: 'SNAPSHOT_WITHOUT_MOUNTS' })
  })

  test('a file system with no room left is named', async () => {
    const tmpfs = { type: 'tmpfs', source: 'tmpfs', target: '', options: ['size=64k'] }
    await expect(sandbox.apply([tmpfs], [file('big', new Uint8Array(1 << 20))])).rejects.toMatchObject({
      code: 'SYSTEM_CALL_FAILED',
      detail: { errno: 'ENOSPC', entry: 'big' },
      fix: expect.stringContaining('room'),
    })
    expect(mountsBelow(sandbox.directory)).toEqual([])
  })

  test('a snapshot mounted read-only', async () => {
    const source = sandbox.make('root')
    const mount = { type: 'bind', source, target: '', options: ['rbind', 'ro'] }
    await expect(sandbox.apply([mount], [file('a', '')])).rejects.toMatchObject({ detail: { errno: 'EROFS' } })
    writeFileSync(join(source, 'b'), '')
    expect(existsSync(join(source, 'a'))).toBe(false)
  })
})
