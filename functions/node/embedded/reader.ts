/** Reads the database without writing a byte: no lock files, no log, nothing that a read-only file system would refuse. */
import { accessSync, constants, copyFileSync, lstatSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { LayercastError } from '../../errors.ts'
import { pauseSync } from '../../kit/pause.ts'
import { damaged, databaseFailure } from './failures.ts'
import type { Layout } from './layout.ts'
import { cannotOpen } from './root-mark.ts'
import { BUSY_MS, checkWhole } from './schema.ts'

/** Longer than the clock tick of any file system: a change after a longer time shows in the file's times. */
const TICK_MS = 25

/** The state of the database's files at one moment. Where two have the same `text`, the files had the same content. */
interface Seen {
  text: string
  /** When the last of the files was written, in milliseconds since 1970. */
  written: number
  inode: bigint
  /** Whether the log has content. */
  log: boolean
  /** Whether the log and its shared index exist: a process has the database open for changes, or was killed. */
  shared: boolean
}

interface Connection {
  db: DatabaseSync
  seen: Seen
  /** Whether it is an ordinary connection, which sees changes of other processes by SQLite's locks and log. */
  live: boolean
  statements: Map<string, StatementSync>
  close(): void
}

/**
 * SQLite's own read-only connection creates two files beside a database with a write-ahead log, and leaves them there. Instead:
 *
 * - Where another process has the database open for changes, those files exist already: an ordinary connection is used.
 * - Otherwise the database's file has everything. It is read without a lock (`immutable`), and an answer counts only if the files
 *   are the same after it as before.
 * - A log that a killed process left, and whose index cannot be used (a read-only file system), is read in a private copy.
 */
export class Reader {
  readonly #layout: Layout
  #connection: Connection | undefined

  constructor(layout: Layout) {
    this.#layout = layout
  }

  /** What `read` returns; undefined where there is no database. DATABASE_DAMAGED, SYSTEM_CALL_FAILED. */
  query<T>(read: (prepare: (sql: string) => StatementSync) => T): T | undefined {
    const end = performance.now() + BUSY_MS
    for (;;) {
      const before = look(this.#layout)
      if (before === undefined) return undefined
      const answer = this.#try(before, read)
      if (answer !== undefined) return answer.value
      this.close()
      if (performance.now() > end) {
        throw new LayercastError('FAILED_PRECONDITION', `${this.#layout.database} changes faster than it can be read`, {
          fix: 'Wait until the other process is done, and run again.',
          detail: { root: this.#layout.root },
        })
      }
      pauseSync(TICK_MS)
    }
  }

  close(): void {
    this.#connection?.close()
    this.#connection = undefined
  }

  /** Undefined where the database changed meanwhile, so that neither an answer nor a failure counts. */
  #try<T>(before: Seen, read: (prepare: (sql: string) => StatementSync) => T): { value: T } | undefined {
    const kept = this.#connection
    if (kept !== undefined && !(kept.live ? kept.seen.inode === before.inode : kept.seen.text === before.text))
      this.close()
    try {
      const connection = (this.#connection ??= open(this.#layout, before))
      if (connection === undefined) return undefined
      const value = read((sql) => prepared(connection, sql))
      return isStill(this.#layout, connection) ? { value } : undefined
    } catch (error) {
      const live = this.#connection?.live ?? false
      if (!live && look(this.#layout)?.text !== before.text) return undefined
      throw error instanceof LayercastError ? error : asKnown(this.#layout, error)
    }
  }
}

function asKnown(layout: Layout, error: unknown): unknown {
  const known = databaseFailure(layout, error)
  return known === error ? cannotOpen(layout, error) : known
}

function isStill(layout: Layout, { live, seen }: Connection): boolean {
  const now = look(layout)
  return live ? now?.inode === seen.inode : now?.text === seen.text
}

function prepared({ db, statements }: Connection, sql: string): StatementSync {
  let statement = statements.get(sql)
  if (statement === undefined) {
    statement = db.prepare(sql)
    statements.set(sql, statement)
  }
  return statement
}

function look(layout: Layout): Seen | undefined {
  const { database } = layout
  const main = lstatSync(database, { bigint: true, throwIfNoEntry: false })
  if (main === undefined) return undefined
  if (!main.isFile()) throw damaged(layout, 'it is not a file')
  const files = ['-wal', '-journal'].map((suffix) =>
    statSync(`${database}${suffix}`, { bigint: true, throwIfNoEntry: false }),
  )
  const all = [main, ...files]
  return {
    text: all
      .map((file) => (file ? [file.dev, file.ino, file.size, file.mtimeNs, file.ctimeNs].join(':') : '-'))
      .join(' '),
    written: Math.max(...all.map((file) => Number(file?.mtimeMs ?? 0))),
    inode: main.ino,
    log: files.some((file) => file !== undefined && file.size > 0n),
    shared: files[0] !== undefined && statSync(`${database}-shm`, { throwIfNoEntry: false }) !== undefined,
  }
}

/** Undefined where the files changed a moment ago, so that a further change might not show, or changed while they were copied. */
function open(layout: Layout, seen: Seen): Connection | undefined {
  const statements = new Map<string, StatementSync>()
  if (seen.shared && mayWrite(layout)) {
    const db = new DatabaseSync(layout.database, { readOnly: true, timeout: BUSY_MS })
    return checked(layout, { db, seen, live: true, statements, close: () => db.close() })
  }
  const age = Date.now() - seen.written
  if (age >= 0 && age < TICK_MS) return undefined
  if (!seen.log) {
    const url = pathToFileURL(layout.database)
    url.searchParams.set('immutable', '1')
    const db = new DatabaseSync(url, { readOnly: true })
    return checked(layout, { db, seen, live: false, statements, close: () => db.close() })
  }
  return openCopy(layout, seen, statements)
}

function openCopy(layout: Layout, seen: Seen, statements: Map<string, StatementSync>): Connection | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'layercast-read-'))
  const remove = () => rmSync(directory, { recursive: true, force: true })
  try {
    const copy = join(directory, 'layercast.db')
    for (const suffix of ['', '-wal', '-journal']) {
      const from = `${layout.database}${suffix}`
      if (statSync(from, { throwIfNoEntry: false })) copyFileSync(from, `${copy}${suffix}`)
    }
    if (look(layout)?.text !== seen.text) {
      remove()
      return undefined
    }
    const db = new DatabaseSync(copy)
    const close = () => {
      db.close()
      remove()
    }
    return checked(layout, { db, seen, live: false, statements, close })
  } catch (error) {
    remove()
    throw error
  }
}

function checked(layout: Layout, connection: Connection): Connection {
  try {
    checkWhole(connection.db, layout)
    return connection
  } catch (error) {
    connection.close()
    throw error
  }
}

/** Whether this process may write into the root, which on a read-only file system nobody may. */
function mayWrite({ root }: Layout): boolean {
  try {
    accessSync(root, constants.W_OK)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') return false
    throw error
  }
}
