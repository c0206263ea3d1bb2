/** What an archive holds as the reader sees it, in the form of peers/gotar.go. */
import { createHash } from 'node:crypto'
import { LayercastError } from '../../../functions/errors.ts'
import type { TarHeader } from '../../../functions/layer/read/tar-member.ts'
import { TarReader } from '../../../functions/layer/read/tar.ts'

export interface Member {
  type: string
  name: string
  link: string
  mode: number
  uid: number
  gid: number
  size: number
  mtime: [number, number]
  atime: [number, number] | null
  major: number
  minor: number
  xattrs: [string, string][]
  data: string
}

export type Reading = { entries: Member[] } | { error: string }

/** Reads an archive in chunks of a size; holes are hashed as zeros. */
export function readArchive(archive: Uint8Array, chunk: number = archive.length): Reading {
  const entries: Member[] = []
  let header: TarHeader | undefined
  let hash = createHash('sha256')
  let position = 0
  const zeros = (length: number): void => {
    for (let left = length; left > 0; left -= 65536) hash.update(Buffer.alloc(Math.min(left, 65536)))
  }
  const reader = new TarReader({
    entry(next) {
      header = next
      hash = createHash('sha256')
      position = 0
    },
    data(bytes, offset) {
      zeros(offset - position)
      hash.update(bytes)
      position = offset + bytes.length
    },
    end() {
      const { mtime, atime, xattrs, ...rest } = header as TarHeader
      zeros(rest.size - position)
      entries.push({
        ...rest,
        mtime: [mtime.seconds, mtime.nanoseconds],
        atime: atime === undefined ? null : [atime.seconds, atime.nanoseconds],
        xattrs: xattrs.map(([name, value]): [string, string] => [name, value]).sort(byName),
        data: hash.digest('hex'),
      })
    },
  })
  try {
    for (let at = 0; at < archive.length; at += Math.max(1, chunk)) reader.write(archive.subarray(at, at + chunk))
    reader.finish()
  } catch (error) {
    if (error instanceof LayercastError) return { error: error.message }
    throw error
  }
  return { entries }
}

export const byName = (a: [string, string], b: [string, string]): number => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)
