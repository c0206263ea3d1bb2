/** What is done with one open descriptor. Errors: SYSTEM_CALL_FAILED. */
import { writeSync } from 'node:fs'
import { S_IFLNK, S_IFMT, S_IFREG, statAt } from '../../linux/at.ts'
import { fromByteString } from '../../linux/bytes.ts'
import { systemError } from '../../linux/libc.ts'

/** Writes at an offset, and gives how many of the bytes were taken. */
export function writeAt(fd: number, bytes: Uint8Array, offset: number, path: readonly string[]): number {
  try {
    return writeSync(fd, bytes, 0, bytes.length, offset)
  } catch (error) {
    const number = (error as NodeJS.ErrnoException).errno
    throw number === undefined ? error : systemError('pwrite', number, fromByteString(path.join('/')))
  }
}

export function kindOf(fd: number, shown: string): 'file' | 'symlink' | 'other' {
  const stat = statAt(fd, '')
  if (typeof stat === 'number') throw systemError('statx', stat, shown)
  const kind = stat.mode & S_IFMT
  return kind === S_IFREG ? 'file' : kind === S_IFLNK ? 'symlink' : 'other'
}
