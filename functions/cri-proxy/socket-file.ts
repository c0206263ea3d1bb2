/** The socket that the kubelet is pointed to: taken over where nobody serves it, like containerd's own in mode and owner. */
import { chmodSync, chownSync, lstatSync, renameSync, rmSync, statSync, type Stats } from 'node:fs'
import type { Server } from 'node:net'
import { LayercastError } from '../errors.ts'
import { dialError } from '../linux/unix-socket.ts'

/** Who has permission where containerd's socket is not there to say it. */
const DEFAULT_MODE = 0o660
/** How long whoever serves the socket has to take a connection. */
const DIAL_MS = 2000

export interface ListeningSocket {
  /** Removes the file, if it is still this server's. */
  remove(): void
}

/**
 * Has the server listen at `path`, with the mode and owner of `upstream`. The file appears with both, in one step, also in the
 * place of one that nobody serves. PORT_IN_USE where somebody does, or where the file is no socket.
 */
export async function listenAt(server: Server, path: string, upstream: string): Promise<ListeningSocket> {
  await checkFree(path)
  const beside = `${path}.${process.pid}`
  rmSync(beside, { force: true })
  // Nobody may connect before the mode is set.
  const mask = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(beside, () => {
        server.off('error', reject)
        resolve()
      })
    })
  } catch (cause) {
    throw new LayercastError('SYSTEM_CALL_FAILED', `cannot listen at ${path}`, {
      cause,
      fix: 'Make its directory, and run as root.',
      detail: { path },
    })
  } finally {
    process.umask(mask)
  }
  const model = statOrUndefined(upstream)
  if (model !== undefined) chownSync(beside, model.uid, model.gid)
  chmodSync(beside, model === undefined ? DEFAULT_MODE : model.mode & 0o777)
  const { ino, dev } = lstatSync(beside)
  renameSync(beside, path)
  return {
    remove() {
      const found = statOrUndefined(path)
      if (found?.ino === ino && found.dev === dev) rmSync(path, { force: true })
    },
  }
}

async function checkFree(path: string): Promise<void> {
  const found = statOrUndefined(path)
  if (found === undefined) return
  if (!found.isSocket()) throw inUse(path, 'is a file, and no socket')
  if (await isServed(path)) throw inUse(path, 'is served by another process')
}

function inUse(path: string, why: string): LayercastError {
  return new LayercastError('PORT_IN_USE', `${path} ${why}`, {
    fix: 'Give --listen another path, or stop what serves this one.',
    detail: { path },
  })
}

/** Only a socket that refuses, or is gone by now, is nobody's: one that does not answer may be a process that hangs. */
async function isServed(path: string): Promise<boolean> {
  const error = await dialError(path, DIAL_MS)
  if (error === undefined) return true
  if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') return false
  throw error
}

function statOrUndefined(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false })
}
