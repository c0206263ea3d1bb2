import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AT_FDCWD, mknodAt, S_IFCHR, makeDevice, S_IFIFO } from '../../../functions/linux/at.ts'
import { must } from '../../../functions/linux/libc.ts'
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
import { buildImage } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { list, useSandbox } from '../support/sandbox.ts'

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0
const sandbox = useSandbox()

function run(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program}: ${stderr}`)
}

/** A tree with all that an archive can hold. */
function makeTree(): string {
  const root = sandbox.make('source')
  const at = (name: string): string => join(root, name)
  mkdirSync(at('usr/share/doc'), { recursive: true })
  writeFileSync(at('usr/share/doc/readme'), 'hello\n'.repeat(1000))
  writeFileSync(at('empty'), '')
  writeFileSync(at('setuid'), 'x')
  chownSync(at('setuid'), 1234, 70_000)
  chmodSync(at('setuid'), 0o6711)
  chmodSync(at('usr'), 0o1700)
  symlinkSync('../../nowhere', at('usr/broken'))
  symlinkSync('a'.repeat(120), at('longlink'))
  linkSync(at('empty'), at('usr/second'))
  writeFileSync(at(`usr/${'long'.repeat(40)}`), 'long')
  mkdirSync(at('d'.repeat(200)))
  writeFileSync(at(`${'d'.repeat(200)}/${'e'.repeat(200)}`), 'longer')
  writeFileSync(Buffer.from(at('b\xff\xe9ytes'), 'latin1'), 'no text')
  writeFileSync(at('sparse'), '')
  truncateSync(at('sparse'), 10_000_000)
  writeFileSync(at('sparse'), 'start', { flag: 'r+' })
  writeFileSync(at('attributes'), '')
  must(setXattrAt(AT_FDCWD, at('attributes'), 'user.empty', ''), 'lsetxattr', root)
  must(setXattrAt(AT_FDCWD, at('attributes'), 'user.bytes', '\x01\xff=\n'), 'lsetxattr', root)
  must(mknodAt(AT_FDCWD, at('null'), S_IFCHR | 0o666, makeDevice(1, 3)), 'mknodat', root)
  must(mknodAt(AT_FDCWD, at('pipe'), S_IFIFO | 0o600), 'mknodat', root)
  return root
}

describe.skipIf(!has('tar'))('GNU tar (needs tar)', () => {
  test.each([
    ['pax', []],
    ['gnu', []],
    ['pax', ['--sparse', '--sparse-version=0.0']],
    ['pax', ['--sparse', '--sparse-version=0.1']],
    ['pax', ['--sparse', '--sparse-version=1.0']],
    ['gnu', ['--sparse']],
    ['pax', ['--xattrs', '--xattrs-include=*']],
  ] as const)('an archive in format %s with %j gives the tree that tar extracts', async (format, flags) => {
    const source = makeTree()
    const archive = join(sandbox.directory, 'archive.tar')
    run('tar', ['-C', source, `--format=${format}`, ...flags, '-cf', archive, '.'])
    const theirs = sandbox.make('theirs')
    run('tar', ['-C', theirs, '--numeric-owner', '--same-owner', '--xattrs', '--xattrs-include=*', '-xpf', archive])
    const ours = sandbox.make('ours')
    await sandbox.apply(ours, readFileSync(archive))
    expect(list(ours)).toEqual(list(theirs))
    expect(Object.keys(list(ours)).length).toBeGreaterThan(15)
  })

  test.each(['v7', 'ustar'])('format %s', async (format) => {
    const source = sandbox.make('source')
    mkdirSync(join(source, `${'deep/'.repeat(18)}`), { recursive: true })
    writeFileSync(join(source, `${'deep/'.repeat(18)}/f`), 'x', { mode: 0o751 })
    symlinkSync('deep', join(source, 'link'))
    linkSync(join(source, 'link'), join(source, 'same'))
    const archive = join(sandbox.directory, 'archive.tar')
    run('tar', ['-C', source, `--format=${format}`, '-cf', archive, '.'])
    const theirs = sandbox.make('theirs')
    run('tar', ['-C', theirs, '--same-owner', '-xpf', archive])
    const ours = sandbox.make('ours')
    await sandbox.apply(ours, readFileSync(archive))
    expect(list(ours)).toEqual(list(theirs))
  })
})

// Each is told apart from its neighbours by one feature, so that a difference names itself.
const IMAGES: Record<string, TarEntry[][]> = {
  'kinds, modes, owners and links': [
    [
      dir('etc', { mode: 0o755, mtime: 1000 }),
      file('etc/passwd', 'root', { mode: 0o640, uid: 1, gid: 2, mtime: 1_600_000_000.5 }),
      file('etc/su', 'elf', { mode: 0o4755, mtime: 3 }),
      symlink('etc/link', '/etc/passwd', { mtime: 9 }),
      hardlink('etc/hard', 'etc/su', { mode: 0o4755, mtime: 3 }),
      device('etc/null', 'char', 1, 3, { mode: 0o666, mtime: 4 }),
      fifo('etc/pipe', { mtime: 5 }),
      dir('etc/sticky', { mode: 0o1777, mtime: 6, xattrs: { 'user.x': 'y' } }),
    ],
  ],
  'whiteouts of files, links and directories': [
    [
      dir('a', { mtime: 1 }),
      file('a/x', '1'),
      file('a/y', '2'),
      dir('a/d', { mtime: 2 }),
      file('a/d/z', '3'),
      symlink('l', 'a'),
      dir('kept', { mtime: 3 }),
      file('kept/f', ''),
    ],
    [dir('a', { mtime: 1 }), whiteout('a/x'), whiteout('a/d'), whiteout('l')],
    [dir('a', { mtime: 1 }), file('a/x', 'again'), file('a/d', 'now a file'), file('l', 'now a file')],
  ],
  'an opaque directory, its marker before and after what the layer puts there': [
    [
      dir('o', { mtime: 1 }),
      file('o/old', ''),
      dir('o/sub', { mtime: 1 }),
      file('o/sub/old', ''),
      dir('p', { mtime: 1 }),
      file('p/old', ''),
    ],
    [dir('o', { mtime: 2 }), opaque('o'), file('o/new', ''), dir('p', { mtime: 2 }), file('p/new', ''), opaque('p')],
  ],
  'a whiteout after the file that the same layer brings': [
    [dir('a', { mtime: 1 }), file('a/f', 'old')],
    [dir('a', { mtime: 1 }), file('a/f', 'new'), whiteout('a/f')],
  ],
  'files for directories and directories for files': [
    [dir('d', { mtime: 1 }), file('d/inside', ''), file('f', 'file'), symlink('s', 'd')],
    [file('d', 'file now'), dir('f', { mtime: 2 }), file('f/inside', ''), dir('s', { mtime: 3 }), file('s/x', '')],
  ],
  'a path through a symbolic link of a lower layer': [
    [
      dir('usr', { mtime: 1 }),
      dir('usr/lib', { mtime: 2 }),
      file('usr/lib/a', ''),
      symlink('lib', 'usr/lib'),
      symlink('abs', '/usr/lib'),
    ],
    [file('lib/b', 'through'), file('abs/c', 'through'), whiteout('lib/a')],
  ],
  'hard links across layers': [
    [file('one', '1', { mtime: 5, mode: 0o600 })],
    [hardlink('two', 'one', { mtime: 5, mode: 0o600 })],
    [hardlink('three', '/two', { mtime: 5, mode: 0o600 })],
  ],
  'names and hard-link targets with dot-dot and drives': [
    [
      dir('etc', { mtime: 1 }),
      file('/../etc/passwd', 'own', { mode: 0o600, mtime: 2 }),
      file('/../../one', '1'),
      file('etc/../../two', '2'),
      file('c:/../../three', '3'),
      dir('?', { mtime: 3 }),
      file('//?/UNC/../four', '4'),
      file('\\..\\five', '5'),
      hardlink('local', '../../etc/passwd', { mode: 0o600, mtime: 2 }),
      symlink('soft', '../../../etc/passwd'),
    ],
    [whiteout('../one'), file('../two', 'new'), hardlink('/../linked', '/../three')],
  ],
  'a directory whose mode and owner change': [
    [dir('d', { mode: 0o700, mtime: 1 }), file('d/f', '')],
    [dir('d', { mode: 0o2775, uid: 3, gid: 4, mtime: 2 })],
  ],
}

describe.skipIf(!has('umoci'))('umoci (needs umoci)', () => {
  test.each(Object.keys(IMAGES))('%s', async (name) => {
    const layers = IMAGES[name] ?? []
    const image = buildImage({ layers })
    const layout = sandbox.make('layout')
    await writeOciLayout(image, layout, { ref: 'test' })
    const bundle = join(sandbox.directory, 'bundle')
    run('umoci', ['unpack', '--image', `${layout}:test`, bundle])
    const ours = sandbox.make('ours')
    for (const layer of image.layers) {
      const blob = image.blobs.get(layer.digest) as Uint8Array
      await sandbox.apply(ours, blob, { mediaType: layer.mediaType })
    }
    expect(list(ours)).toEqual(list(join(bundle, 'rootfs')))
    expect(readdirSync(ours)).not.toEqual([])
  })
})
