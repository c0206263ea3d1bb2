/** The files of a tar archive, read in place. */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { invalid, unreadable } from './errors.ts'
import type { Files } from './files.ts'
import { inflateToTemporary } from './inflate.ts'
import { readPart } from './pread.ts'
import { TarError, TarIndex, type IndexedMember, type Order } from './tar-index.ts'

/**
 * Opens a tar archive. One that is compressed is inflated into a temporary file first, because members can only be read in
 * place from a plain one. FILE_NOT_FOUND, SOURCE_INVALID, SYSTEM_CALL_FAILED.
 * @param order which one counts where a name is both a file and a link
 */
export async function openArchive(path: string, order?: Order): Promise<Files> {
  const what = `archive ${path}`
  const file = await openPlain(path, what)
  let index: TarIndex
  try {
    index = await TarIndex.read(file, order)
  } catch (error) {
    await file.close()
    throw explained(what, error)
  }

  const find = (name: string): IndexedMember | undefined => {
    try {
      return index.find(name)
    } catch (error) {
      throw explained(what, error)
    }
  }
  return {
    what,
    size: async (name) => find(name)?.size,
    async *read(name, { offset = 0, length } = {}): AsyncGenerator<Uint8Array> {
      const member = find(name)
      if (member === undefined) throw invalid(what, `has no file ${name}`)
      const left = Math.max(0, member.size - offset)
      yield* readPart(file, member.offset + offset, length === undefined ? left : Math.min(length, left))
    },
    close: () => file.close(),
  }
}

async function openPlain(path: string, what: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw unreadable(path, error)
  })
  try {
    const found = await file.stat()
    if (found.isDirectory()) throw invalid(path, 'is a directory', 'For an OCI layout write oci:DIR.')
    if (!found.isFile()) throw invalid(path, 'is not a regular file', 'Write it to a file first.')
    const inflated = await inflateToTemporary(file, what)
    if (inflated === undefined) return file
    await file.close()
    return inflated
  } catch (error) {
    await file.close()
    throw error
  }
}

function explained(what: string, error: unknown): unknown {
  return error instanceof TarError ? invalid(what, error.message, undefined, error) : error
}
