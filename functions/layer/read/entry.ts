/** What one member of a layer's archive asks for (image-spec 1.1, "Image Layer Filesystem Changeset"). */
import { LayercastError } from '../../errors.ts'
import { S_IFBLK, S_IFCHR, S_IFIFO } from '../../linux/at.ts'
import type { Time } from '../../linux/at.ts'
import { fromByteString } from '../../linux/bytes.ts'
import { cleanPath, unsafe } from './guard.ts'
import { corrupt } from './tar-header.ts'
import type { TarHeader } from './tar-member.ts'

/** What a written entry carries besides its content. */
export interface Metadata {
  /** Permissions with setuid, setgid and sticky. */
  mode: number
  uid: number
  gid: number
  atime: Time
  mtime: Time
  xattrs: readonly (readonly [string, string])[]
}

/** Paths are cleaned components, as byte strings; the last one is the name. */
export type Entry = { path: readonly string[]; metadata: Metadata } & (
  | { kind: 'file'; size: number }
  | { kind: 'directory' }
  | { kind: 'symlink'; target: string }
  | { kind: 'link'; target: readonly string[] }
  /** `mode` is the kind of node: S_IFCHR, S_IFBLK or S_IFIFO. */
  | { kind: 'node'; type: number; major: number; minor: number }
  /** Deletes `name` in the directory `path` of the layers below. */
  | { kind: 'whiteout'; name: string }
  /** Deletes all that the layers below have in the directory `path`. */
  | { kind: 'opaque' }
)

/** The prefix of a whiteout's name. */
export const WHITEOUT = '.wh.'
const META = '.wh..wh.'
/** The name of an opaque whiteout, which hides all of the directory that it is in. */
export const OPAQUE = '.wh..wh..opq'

/**
 * What a member means; undefined for the root directory itself and for aufs's own files, which are no content.
 * Errors: LAYER_UNSAFE (a whiteout of `.`, `..` or nothing, a hard link to the root), LAYER_UNSUPPORTED (a type that layers do not
 * have), LAYER_CORRUPT (an owner or device out of range).
 */
export function readEntry(header: TarHeader): Entry | undefined {
  const path = cleanPath(header.name, 'name')
  const name = path.at(-1)
  if (name === undefined) return undefined
  const parent = path.slice(0, -1)
  if (isMeta(path)) return undefined
  const hidden = parent.find((component) => component.startsWith(WHITEOUT))
  if (hidden !== undefined) throw unsafe(`the entry is below the whiteout ${JSON.stringify(hidden)}`)
  const metadata = readMetadata(header)
  if (name === OPAQUE) return { kind: 'opaque', path: parent, metadata }
  if (name.startsWith(WHITEOUT)) {
    const gone = name.slice(WHITEOUT.length)
    if (gone === '' || gone === '.' || gone === '..') throw unsafe(`the whiteout hides ${JSON.stringify(gone)}`)
    return { kind: 'whiteout', path: parent, name: gone, metadata }
  }
  return readContent(header, path, metadata)
}

// aufs kept hard links and its own state below `.wh..wh.` names.
function isMeta(path: readonly string[]): boolean {
  return path.some(
    (component, index) => component.startsWith(META) && (component !== OPAQUE || index < path.length - 1),
  )
}

function readContent(header: TarHeader, path: readonly string[], metadata: Metadata): Entry {
  switch (header.type) {
    case '0':
    case '7': // "contiguous": POSIX has it read as a plain file
      return { kind: 'file', path, metadata, size: header.size }
    case '5':
      return { kind: 'directory', path, metadata }
    case '2':
      return { kind: 'symlink', path, metadata, target: readSymlink(header.link) }
    case '1':
      return { kind: 'link', path, metadata, target: readLink(header.link) }
    case '3':
      return { kind: 'node', path, metadata, type: S_IFCHR, ...readDevice(header) }
    case '4':
      return { kind: 'node', path, metadata, type: S_IFBLK, ...readDevice(header) }
    case '6':
      return { kind: 'node', path, metadata, type: S_IFIFO, major: 0, minor: 0 }
    default:
      throw new LayercastError('LAYER_UNSUPPORTED', `the entry has the type ${JSON.stringify(header.type)}`, {
        detail: { type: header.type },
        fix: 'Build the image with a tool that writes plain POSIX archives.',
      })
  }
}

function readSymlink(target: string): string {
  if (target === '') throw corrupt('a symbolic link has no target')
  if (target.includes('\0')) throw unsafe('the target of a symbolic link holds a NUL')
  if (target.length > 4095) throw unsafe(`the target of a symbolic link has ${target.length} bytes, more than 4095`)
  return target
}

function readLink(link: string): string[] {
  const target = cleanPath(link, 'target of the hard link')
  if (target.length === 0) throw unsafe('the hard link has the root for its target')
  if (isMeta(target)) {
    throw new LayercastError(
      'LAYER_UNSUPPORTED',
      `the hard link has aufs's own ${fromByteString(link)} for its target`,
      {
        fix: 'Rebuild the image: aufs kept hard links in a form that no present tool writes.',
      },
    )
  }
  return target
}

function readDevice(header: TarHeader): { major: number; minor: number } {
  const { major, minor } = header
  // What Linux can hold: 12 bits and 20 bits.
  if (major < 0 || major >= 2 ** 12 || minor < 0 || minor >= 2 ** 20) {
    throw corrupt(`the device number ${major}:${minor} is out of range`, { major, minor })
  }
  return { major, minor }
}

function readMetadata(header: TarHeader): Metadata {
  const mtime = bounded(header.mtime)
  const atime = header.atime === undefined ? mtime : bounded(header.atime)
  return {
    mode: Number(BigInt.asUintN(12, BigInt(header.mode))),
    uid: owner(header.uid),
    gid: owner(header.gid),
    atime: isLater(atime, mtime) ? atime : mtime,
    mtime,
    xattrs: header.xattrs,
  }
}

// -1 would tell chown to change nothing.
function owner(id: number): number {
  if (id < 0 || id >= 2 ** 32 - 1) throw corrupt(`the owner ${id} is out of range`, { owner: id })
  return id
}

// As containerd: a time that 64 bits of nanoseconds since 1970 do not hold becomes 1970.
function bounded(time: Time): Time {
  const most = 9_223_372_036
  return time.seconds < 0 || time.seconds >= most ? { seconds: 0, nanoseconds: 0 } : time
}

function isLater(a: Time, b: Time): boolean {
  return a.seconds > b.seconds || (a.seconds === b.seconds && a.nanoseconds > b.nanoseconds)
}

/** Which of the missing directories on a path are made: all, those that this layer has no whiteout for, or none. */
export type Make = 'all' | 'unhidden' | 'none'
