/** Reads at a given place of a file, as pread(2) does. */
import type { FileHandle } from 'node:fs/promises'

const CHUNK_BYTES = 1 << 20

/** `length` bytes from `offset`, or fewer where the file ends. Each chunk has memory of its own, so the caller may keep it. */
export async function* readPart(file: FileHandle, offset: number, length: number): AsyncGenerator<Buffer> {
  for (let at = offset, left = length; left > 0;) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(left, CHUNK_BYTES))
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at)
    if (bytesRead === 0) return
    at += bytesRead
    left -= bytesRead
    yield chunk.subarray(0, bytesRead)
  }
}

/** The same in one piece. */
export async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of readPart(file, offset, length)) chunks.push(chunk)
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)
}
