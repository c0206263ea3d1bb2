/** The files of a directory. */
import { constants } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { invalid, unreadable } from './errors.ts'
import type { Files } from './files.ts'
import { readPart } from './pread.ts'

/**
 * Opens a directory. Paths are not checked here: readers of layouts make them from digests, and take none from a document.
 * FILE_NOT_FOUND, SOURCE_INVALID, SYSTEM_CALL_FAILED.
 */
export async function openDirectory(root: string): Promise<Files> {
  const what = `directory ${root}`
  const found = await stat(root).catch((error: unknown) => {
    throw unreadable(root, error)
  })
  if (!found.isDirectory()) throw invalid(root, 'is not a directory', 'For an archive write oci-archive:FILE.')

  const openFile = async (path: string): Promise<FileHandle | undefined> => {
    // O_NONBLOCK: opening a FIFO would otherwise wait for its writer.
    const handle = await open(join(root, path), constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
      throw unreadable(join(root, path), error)
    })
    if (handle === undefined || (await handle.stat()).isFile()) return handle
    await handle.close()
    throw invalid(what, `has ${path}, which is not a regular file`)
  }

  return {
    what,
    async size(path): Promise<number | undefined> {
      const handle = await openFile(path)
      if (handle === undefined) return undefined
      try {
        return (await handle.stat()).size
      } finally {
        await handle.close()
      }
    },
    async *read(path, { offset = 0, length } = {}): AsyncGenerator<Uint8Array> {
      const handle = await openFile(path)
      if (handle === undefined) throw invalid(what, `has lost ${path}`, 'Begin again.')
      try {
        const { size } = await handle.stat()
        yield* readPart(handle, offset, length === undefined ? size - offset : Math.min(length, size - offset))
      } finally {
        await handle.close()
      }
    },
    close: async () => undefined,
  }
}
