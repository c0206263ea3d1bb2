/** Changes as a layer's archive: pax (POSIX.1-2001), with nothing in it that two runs over one tree would not share. */
import { closeSync, readSync } from 'node:fs'
import { LayercastError } from '../../errors.ts'
import { checkAborted } from '../../kit/abort.ts'
import { fromByteString } from '../../linux/bytes.ts'
import type { FileKind, WalkEntry } from '../../linux/walk.ts'
import { OPAQUE, WHITEOUT } from '../read/entry.ts'
import { BLOCK } from '../read/tar-header.ts'
import { paddingOf } from '../read/tar-member.ts'
import { isOfLayers } from '../xattr.ts'
import { openBelow, type Change } from './changes.ts'
import { LINK, memberHeader, type Member } from './tar-writer.ts'

const CHUNK = 1 << 18
const FLAGS: Readonly<Record<Exclude<FileKind, 'socket'>, string>> = {
  file: '0',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
}

/** The archive's bytes; sockets are left out, which no archive can hold. */
export async function* archiveOf(
  changes: Iterable<Change>,
  root: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (const change of changes) {
    checkAborted(signal)
    if (change.kind === 'deleted') yield* memberHeader({ path: whiteoutOf(change.path), flag: FLAGS.file })
    else if (change.kind === 'opaque') yield* memberHeader({ path: `${change.path}/${OPAQUE}`, flag: FLAGS.file })
    else if (change.kind === 'linked') yield* memberHeader({ ...metaOf(change.entry), flag: LINK, target: change.to })
    else if (change.entry.kind !== 'socket') {
      const { entry } = change
      yield* memberHeader({ ...metaOf(entry), flag: FLAGS[change.entry.kind] })
      if (entry.kind === 'file') yield* contentOf(entry, root, signal)
    }
  }
  yield new Uint8Array(2 * BLOCK)
}

function metaOf(entry: WalkEntry): Omit<Member, 'flag'> {
  const { path, kind, mode, uid, gid, mtime, target, xattrs } = entry
  const isDevice = kind === 'char' || kind === 'block'
  return {
    path: kind === 'directory' ? `${path}/` : path,
    mode,
    uid,
    gid,
    mtime,
    target,
    major: isDevice ? entry.major : undefined,
    minor: isDevice ? entry.minor : undefined,
    size: kind === 'file' ? entry.size : undefined,
    xattrs: xattrs.filter(([name]) => isOfLayers(name)),
  }
}

function whiteoutOf(path: string): string {
  const slash = path.lastIndexOf('/') + 1
  return `${path.slice(0, slash)}${WHITEOUT}${path.slice(slash)}`
}

async function* contentOf({ path, size }: WalkEntry, root: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const fd = openBelow(root, path)
  try {
    let left = size
    while (left > 0) {
      checkAborted(signal)
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK, left))
      const length = readSync(fd, chunk)
      if (length === 0) break
      left -= length
      yield chunk.subarray(0, length)
    }
    if (left > 0) {
      throw new LayercastError('SYSTEM_CALL_FAILED', `${fromByteString(path)} became shorter while it was read`, {
        fix: 'Run again; something else writes to the snapshot.',
        detail: { path: fromByteString(path) },
      })
    }
    yield new Uint8Array(paddingOf(size))
  } finally {
    closeSync(fd)
  }
}
