/** Named files with random access: what an image layout is read from. */
import type { Range } from '../../node/ports.ts'

/** The files of a directory or an archive. */
export interface Files {
  /** What this is, for messages: `archive /tmp/x.tar`. */
  readonly what: string
  /** The file's size in bytes; undefined where there is no regular file of this name. SOURCE_INVALID. */
  size(path: string): Promise<number | undefined>
  /** The bytes of a file that is there. SOURCE_INVALID where it is not. */
  read(path: string, range?: Range): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

/**
 * All bytes of a small file; undefined where it is not there.
 * @param check throws where the size, in bytes, is too large; nothing has been read then
 */
export async function readSmall(
  files: Files,
  path: string,
  check: (size: number) => void,
): Promise<Uint8Array | undefined> {
  const size = await files.size(path)
  if (size === undefined) return undefined
  check(size)
  const chunks: Uint8Array[] = []
  for await (const chunk of files.read(path, { offset: 0, length: size })) chunks.push(chunk)
  return Buffer.concat(chunks)
}
