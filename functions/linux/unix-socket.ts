/** Whether somebody serves a unix socket. */
import { connect } from 'node:net'

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
