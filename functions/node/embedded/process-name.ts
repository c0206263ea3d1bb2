import { randomBytes } from 'node:crypto'
import { namespaceOf, processStat } from '../../linux/process.ts'

/**
 * Names for files that belong to one running process, so that another can tell what a dead one left. A process number
 * alone says little: it is used again, and means another process in another PID namespace.
 */

// What is older than this, and of a process that cannot be looked for, belongs to nobody.
const DAY_MS = 24 * 60 * 60 * 1000

/** A new name, unlike any other, that tells whose it is. */
export function processName(): string {
  const random = randomBytes(9).toString('base64url')
  return [process.pid, processStat('self')?.startTime, namespaceOf('pid'), random].join('.')
}

/** Whether a name is of the form that `processName` gives, with or without what SQLite puts behind it. */
export function isProcessName(name: string): boolean {
  return /^\d+\.\d+\.\d+\.[\w-]{12}(?:-wal|-shm|-journal)?$/.test(name)
}

/** Whether the owner of a name is gone for sure. `modifiedAt` in milliseconds is when the file was last written. */
export function isAbandoned(name: string, modifiedAt: number): boolean {
  const [pid, start, namespace] = name.split('.')
  // A process of another PID namespace cannot be looked for from here. Of one that can, no age tells: clocks are set.
  if (Number(namespace) !== namespaceOf('pid')) return Date.now() - modifiedAt > DAY_MS
  return processStat(Number(pid))?.startTime !== start
}
