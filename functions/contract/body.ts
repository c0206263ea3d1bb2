/** Reading a body whose length is not known, without holding more than a limit of it. */

/**
 * All bytes of a stream, or undefined where it has more than `limit`. The rest is then left in the stream, which is unlocked,
 * for the caller to read or to cancel.
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
