import type { FileHandle } from 'node:fs/promises'

const CHUNK_BYTES = 1 << 20

/** `length` bytes of a file from `offset`, or fewer where it ends; each chunk has memory of its own. */
export async function* readPart(file: FileHandle, offset: number, length: number): AsyncGenerator<Uint8Array> {
  for (let at = offset, left = length; left > 0;) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(left, CHUNK_BYTES))
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at)
    if (bytesRead === 0) return
    at += bytesRead
    left -= bytesRead
    yield chunk.subarray(0, bytesRead)
  }
}

/** The bytes there; fewer than `length` where the file ends. */
export async function readExactly(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of readPart(file, offset, length)) chunks.push(chunk)
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)
}
