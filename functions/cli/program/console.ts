import type { Writable } from 'node:stream'

/** Where a run of the program writes: data on one side, everything else on the other. */
export interface Streams {
  stdout: Writable & { isTTY?: boolean; columns?: number }
  stderr: Writable & { isTTY?: boolean; columns?: number; rows?: number }
}

/** Writes all of it, waiting where the reader is slow. */
export function write(stream: Writable, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, (error) => (error ? reject(error) : resolve()))
  })
}
