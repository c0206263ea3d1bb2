/** Cuts a stream of bytes into chunks of one size. */

/** The same bytes in chunks of `size` bytes, of which the last may be shorter. A chunk is valid until the next one is asked for. */
export async function* rechunk(data: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(size)
  let filled = 0
  for await (const chunk of data) {
    let rest = chunk
    while (filled + rest.length >= size) {
      // A full chunk within the input needs no copy.
      if (filled === 0) {
        yield rest.subarray(0, size)
        rest = rest.subarray(size)
        continue
      }
      const room = size - filled
      buffer.set(rest.subarray(0, room), filled)
      rest = rest.subarray(room)
      filled = 0
      yield buffer
    }
    buffer.set(rest, filled)
    filled += rest.length
  }
  if (filled > 0) yield buffer.subarray(0, filled)
}
