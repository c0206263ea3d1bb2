/** Files that the user names, and stdin. */

import { open } from 'node:fs/promises'
import { LayercastError } from '../../errors.ts'
import { orAborted } from '../../kit/abort.ts'
import type { Context } from './context.ts'

/** In bytes: more than any document may have that layercast reads. The parsers have limits of their own. */
const LARGEST = 64 * 1024 * 1024

/**
 * The exact bytes of a file, or of stdin for `-`.
 *
 * @throws LayercastError FILE_NOT_FOUND, DOCUMENT_TOO_LARGE, ABORTED
 */
export async function readInput(context: Context, file: string): Promise<Uint8Array> {
  if (file === '-') return collect(context.stdin, 'stdin', context.signal)
  try {
    await using handle = await open(file)
    // A stream and not readFile: a pipe such as <(…) tells no size, and its length must be bounded.
    return await collect(handle.createReadStream({ autoClose: false }), file, context.signal)
  } catch (error) {
    throw error instanceof LayercastError ? error : fileError(file, error)
  }
}

/** The error of reading a file that the user named: FILE_NOT_FOUND, or USAGE for a directory and for one that cannot be read. */
export function fileError(file: string, error: unknown): LayercastError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new LayercastError('FILE_NOT_FOUND', `there is no file ${file}`, {
      cause: error,
      fix: 'Check the path.',
      detail: { file },
    })
  }
  if (code === 'EISDIR') {
    return new LayercastError('USAGE', `${file} is a directory`, {
      cause: error,
      fix: 'Name a file.',
      detail: { file },
    })
  }
  return new LayercastError(
    'USAGE',
    `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    {
      cause: error,
      fix: 'Name a file that this user may read.',
      detail: { file },
    },
  )
}

async function collect(stream: AsyncIterable<Uint8Array>, name: string, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  const iterator = stream[Symbol.asyncIterator]()
  for (;;) {
    // Not `for await`, which would wait for a user who types the document, also after Ctrl-C.
    const next = await orAborted(iterator.next(), signal)
    if (next.done) break
    const chunk = next.value
    size += chunk.length
    if (size > LARGEST) {
      await iterator.return?.()
      throw new LayercastError('DOCUMENT_TOO_LARGE', `${name} has more than ${LARGEST} bytes`, {
        fix: 'Check that it is the right file.',
      })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
