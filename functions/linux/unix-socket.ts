/** Where a unix socket is, and whether somebody serves it. */
import { connect } from 'node:net'

/** The path of a socket that is named by its path or, as kubelet and crictl do, by a `unix://` address. */
export function socketPath(address: string): string {
  return address.replace(/^unix:\/\//, '')
}

/**
 * Connects to a socket, and ends the connection at once.
 * @param path its path
 * @param timeoutMs for how long to wait, in milliseconds: a process that hangs leaves its socket's queue full
 * @returns undefined where somebody takes the connection, and else why nobody does, with the system's error code where it gave one
 */
export async function dialError(path: string, timeoutMs: number): Promise<NodeJS.ErrnoException | undefined> {
  return await new Promise((resolve) => {
    const socket = connect({ path })
    const finish = (error: Error | undefined) => {
      socket.destroy()
      resolve(error)
    }
    socket.setTimeout(timeoutMs, () => finish(new Error(`no answer within ${timeoutMs / 1000} s`)))
    socket.once('connect', () => finish(undefined))
    socket.once('error', finish)
  })
}
