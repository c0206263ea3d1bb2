/**
 * The C library of the process, through FFI. Every function here answers as the kernel does: a result of 0 or more, or
 * the negative of an error number, which `must` turns into an error. So a caller that expects a failure, such as a file that
 * is not there yet, pays for no exception.
 */
import koffi from 'koffi'
import { LayercastError } from '../errors.ts'
import { REMEDIES } from './failure.ts'

// The process's own symbols: glibc or musl, whichever this Node runs on.
const library = koffi.load(null)

type Native = ((...args: unknown[]) => number) & {
  async: (...args: [...unknown[], (error: Error | null, result: number) => void]) => void
}

export interface NativeCall {
  (...args: unknown[]): number
  /** The same call off the main thread, for those that may wait for a disk. */
  later(...args: unknown[]): Promise<number>
}

/** Binds a function of the C library from its C prototype (koffi's notation). */
export function bind(prototype: string): NativeCall {
  const native = library.func(prototype) as Native
  const call = (...args: unknown[]): number => {
    const result = native(...args)
    return result === -1 ? -koffi.errno() : result
  }
  const later = (...args: unknown[]): Promise<number> =>
    new Promise((resolve, reject) => {
      native.async(...args, (error, result) => {
        if (error !== null) reject(error)
        else resolve(result === -1 ? -koffi.errno() : result)
      })
    })
  return Object.assign(call, { later })
}

/** Error numbers by name (ENOENT: 2, ...), as this machine has them. */
export const errno = koffi.os.errno as Readonly<Record<string, number>> & {
  readonly [
    name in
      | 'EEXIST'
      | 'EINVAL'
      | 'EISDIR'
      | 'ELOOP'
      | 'ENAMETOOLONG'
      | 'ENODATA'
      | 'ENOENT'
      | 'ENOSYS'
      | 'ENOTBLK'
      | 'ENOTDIR'
      | 'ENOTSUP'
      | 'EBUSY'
      | 'EPERM'
      | 'EACCES'
      | 'ERANGE'
      | 'EWOULDBLOCK'
      | 'EAGAIN'
  ]: number
}

const names = new Map<number, string>()
for (const [name, number] of Object.entries(errno)) if (!names.has(number)) names.set(number, name)

/** The name of an error number, given as a call answers it (negative) or as errno holds it. */
function errnoName(result: number): string {
  return names.get(Math.abs(result)) ?? `errno ${Math.abs(result)}`
}

/** A SYSTEM_CALL_FAILED error; `detail` has the call, the error number's name and the path. */
export function systemError(call: string, result: number, path: string, fix?: string): LayercastError {
  const name = errnoName(result)
  return new LayercastError('SYSTEM_CALL_FAILED', `${call} failed on ${JSON.stringify(path)}: ${name}`, {
    detail: { call, errno: name, path },
    fix: fix ?? REMEDIES[name],
  })
}

/** The result of a call, or SYSTEM_CALL_FAILED when it is negative. */
export function must(result: number, call: string, path: string): number {
  if (result < 0) throw systemError(call, result, path)
  return result
}
