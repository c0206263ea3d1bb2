import type { Range } from '../../node/ports.ts'

/** Named files that can be read at any place: a directory, or an archive. */
export interface Files {
  /** What this is, for messages: `archive /tmp/x.tar`. */
  readonly what: string
  /** The file's size in bytes; undefined where there is no regular file of this name. SOURCE_INVALID. */
  size(path: string): Promise<number | undefined>
  /** The file's bytes; the file is there. */
  read(path: string, range?: Range): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

/** A small file's bytes, whole; undefined where it is not there. The caller's limit holds before anything is read. */
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
