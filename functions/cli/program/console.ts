/** The streams that a run of the program writes to. */

import type { Writable } from 'node:stream'

/** Data goes to stdout, everything else to stderr. */
export interface Streams {
  stdout: Writable & { isTTY?: boolean; columns?: number }
  stderr: Writable & { isTTY?: boolean; columns?: number; rows?: number }
}

/** Resolves when all of it is written. Rejects with the stream's own error. */
export function write(stream: Writable, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, (error) => (error ? reject(error) : resolve()))
  })
}
