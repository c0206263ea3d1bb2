/**
 * Names of files that belong to one running process, so that another process can tell which files a dead one left. A process ID alone
 * is not enough: it is used again, and means another process in another PID namespace.
 */
import { randomBytes } from 'node:crypto'
import { namespaceOf, processStat } from '../../linux/process.ts'

// Whether a process of another PID namespace runs cannot be seen. Its files count as abandoned after this time.
const DAY_MS = 24 * 60 * 60 * 1000

/** A new unique name with the mark of this process. */
export function processName(): string {
  const random = randomBytes(9).toString('base64url')
  return [process.pid, processStat('self')?.startTime, namespaceOf('pid'), random].join('.')
}

/** Whether a name has the form of `processName`, with or without a suffix of SQLite's. */
export function isProcessName(name: string): boolean {
  return /^\d+\.\d+\.\d+\.[\w-]{12}(?:-wal|-shm|-journal)?$/.test(name)
}

/**
 * Whether the process of a name has ended for sure.
 * @param modifiedAt when the file was last written, in milliseconds since 1970
 */
export function isAbandoned(name: string, modifiedAt: number): boolean {
  const [pid, start, namespace] = name.split('.')
  // The age is not used where the process can be seen, because clocks are set forward and back.
  if (Number(namespace) !== namespaceOf('pid')) return Date.now() - modifiedAt > DAY_MS
  return processStat(Number(pid))?.startTime !== start
}
