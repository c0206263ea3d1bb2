/** Images that start: Debian's static busybox as the only program. */
import { readFile } from 'node:fs/promises'
import { dir, file, hardlink, opaque, symlink, whiteout, type TarEntry } from './entries.ts'
import { buildImage, type BuiltImage } from './image.ts'

/** The program; undefined where it is not installed (test/support/install-test-tools.sh installs it). */
export const busybox: Uint8Array | undefined = await readFile('/bin/busybox').catch(() => undefined)

const programs = (seed: string): TarEntry[] => [
  dir('bin'),
  file('bin/busybox', busybox ?? '', { mode: 0o755 }),
  ...['ls', 'cat', 'sh', 'sleep'].map((name) => symlink(`bin/${name}`, 'busybox')),
  file('seed', seed),
]

/** What a pod's sandbox runs: something that waits. */
export function pauseImage(): BuiltImage {
  return buildImage({ layers: [programs('pause')], config: { Entrypoint: ['/bin/sleep', '100000'] } })
}

/** The directories whose content the upper layers of a layered image change, as `ls` shows them. */
export const LAYERED_DIRECTORIES = ['/data', '/hidden', '/tree']
export const LAYERED_FILES = ['hard', 'kept', 'new', 'replaced', 'new', 'again']

/**
 * An image whose upper layers delete, hide, replace and link to what is below them; started, it lists what is left.
 * @param seed what makes this image another one
 */
export function layeredImage(seed: string): BuiltImage {
  return buildImage({
    layers: [
      [
        ...programs(seed),
        dir('data', { mode: 0o700, uid: 5, gid: 6 }),
        file('data/kept', `kept ${seed}`, { uid: 7, xattrs: { 'user.kind': 'kept' } }),
        file('data/deleted', 'a layer above deletes it'),
        file('data/replaced', 'old'),
        dir('hidden'),
        file('hidden/old', 'under an opaque directory'),
        dir('tree'),
        dir('tree/inner'),
        file('tree/inner/file', 'deleted with all its tree'),
      ],
      // The directory is not named again: its mode and owner stay as they are below.
      [whiteout('data/deleted'), file('data/new', 'new')],
      [
        dir('hidden'),
        opaque('hidden'),
        file('hidden/new', 'in its place'),
        file('data/replaced', 'replaced', { mode: 0o4755 }),
        whiteout('tree'),
        hardlink('data/hard', 'data/replaced', { mode: 0o4755 }),
      ],
      [dir('tree'), file('tree/again', 'a tree in the place of the deleted one')],
    ],
    compression: ['gzip', 'zstd', 'none', 'gzip'],
    config: { Cmd: ['/bin/ls', ...LAYERED_DIRECTORIES] },
  })
}
