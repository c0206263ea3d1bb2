/** What a test layer is made of: one value for each member of its tar archive, in archive order. */

/** The header dialect of one member: how a long name or a large number is put down. */
export type TarFormat = 'pax' | 'gnu' | 'ustar'

export interface TarMeta {
  /** Permission bits with setuid, setgid and sticky; 0o644 for a file, 0o755 for a directory, 0o777 for a link. */
  mode?: number
  uid?: number
  gid?: number
  uname?: string
  gname?: string
  /** In seconds since 1970; a fraction or a negative number is put into a PAX record. */
  mtime?: number
  /** Extended attributes, as `SCHILY.xattr.NAME` records. */
  xattrs?: Record<string, string | Uint8Array>
  /** Further PAX records, as they are; they come after the ones made here, so that they win. */
  pax?: Record<string, string | Uint8Array>
  /** 'pax' by default. */
  format?: TarFormat
}

export type TarEntry = TarMeta &
  (
    | { type: 'file'; path: string; data: Uint8Array }
    | { type: 'dir'; path: string }
    | { type: 'symlink'; path: string; target: string }
    | { type: 'hardlink'; path: string; target: string }
    | { type: 'char' | 'block'; path: string; major: number; minor: number }
    | { type: 'fifo'; path: string }
    /** An old GNU sparse file of at most three pieces. */
    | { type: 'sparse'; path: string; size: number; pieces: { offset: number; data: Uint8Array }[] }
    /** A member with any type flag, for what an archive should not hold. */
    | { type: 'other'; path: string; flag: string; target?: string; data?: Uint8Array }
    /** Bytes put into the archive as they are: broken headers, garbage between members. */
    | { type: 'raw'; data: Uint8Array }
  )

const bytes = (data: string | Uint8Array): Uint8Array =>
  typeof data === 'string' ? new TextEncoder().encode(data) : data

export const file = (path: string, data: string | Uint8Array = '', meta: TarMeta = {}): TarEntry => ({
  ...meta,
  type: 'file',
  path,
  data: bytes(data),
})

export const dir = (path: string, meta: TarMeta = {}): TarEntry => ({ ...meta, type: 'dir', path })

export const symlink = (path: string, target: string, meta: TarMeta = {}): TarEntry => ({
  ...meta,
  type: 'symlink',
  path,
  target,
})

export const hardlink = (path: string, target: string, meta: TarMeta = {}): TarEntry => ({
  ...meta,
  type: 'hardlink',
  path,
  target,
})

export const device = (
  path: string,
  type: 'char' | 'block',
  major: number,
  minor: number,
  meta: TarMeta = {},
): TarEntry => ({ ...meta, type, path, major, minor })

export const fifo = (path: string, meta: TarMeta = {}): TarEntry => ({ ...meta, type: 'fifo', path })

export const sparse = (
  path: string,
  size: number,
  pieces: { offset: number; data: Uint8Array }[],
  meta: TarMeta = {},
): TarEntry => ({ ...meta, type: 'sparse', path, size, pieces })

export const other = (
  path: string,
  flag: string,
  rest: { target?: string; data?: string | Uint8Array } = {},
  meta: TarMeta = {},
): TarEntry => ({
  ...meta,
  type: 'other',
  path,
  flag,
  ...(rest.target === undefined ? {} : { target: rest.target }),
  ...(rest.data === undefined ? {} : { data: bytes(rest.data) }),
})

export const raw = (data: Uint8Array): TarEntry => ({ type: 'raw', data })

/** The whiteout of `path` (image-spec, "Whiteouts"): an empty file `.wh.NAME` beside it. */
export function whiteout(path: string): TarEntry {
  const cut = path.lastIndexOf('/') + 1
  return file(`${path.slice(0, cut)}.wh.${path.slice(cut)}`)
}

/** The opaque whiteout of the directory `path`: an empty file `.wh..wh..opq` in it. */
export const opaque = (path: string): TarEntry => file(`${path.replace(/\/$/, '')}/.wh..wh..opq`)
