/** Reading a body of unknown length without holding more than a limit of it. */

/**
 * All bytes of a stream, or undefined once there are more than `limit`: then the rest is left in it, for the caller to
 * cancel or to read.
 */
export async function readAtMost(stream: ReadableStream<Uint8Array> | null, limit: number) {
  if (stream === null) return new Uint8Array(0)
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = stream.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.byteLength
    if (size > limit) {
      reader.releaseLock()
      return undefined
    }
    chunks.push(value)
  }
  const all = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.byteLength
  }
  return all
}
