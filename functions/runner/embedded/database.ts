import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { LayercastError } from '../../image/errors.ts'
import { makeTree, type Layout } from './layout.ts'

const SCHEMA_VERSION = 1

const SCHEMA = `
create table blobs (
  digest text primary key,
  size integer not null,
  labels text not null,
  created integer not null,
  updated integer not null
) without rowid;

create table images (
  name text primary key,
  target text not null,
  labels text not null,
  created integer not null,
  updated integer not null
) without rowid;

create table snapshots (
  id integer primary key autoincrement,
  name text not null unique,
  kind text not null check (kind in ('active', 'committed', 'view')),
  parent integer references snapshots (id),
  labels text not null,
  size integer not null default 0,
  inodes integer not null default 0,
  created integer not null,
  updated integer not null
);
create index snapshots_by_parent on snapshots (parent);

create table leases (
  id text primary key,
  labels text not null,
  created integer not null,
  expires integer not null
) without rowid;

create table lease_resources (
  lease text not null references leases (id) on delete cascade,
  type text not null check (type in ('blob', 'snapshot')),
  name text not null,
  primary key (lease, type, name)
) without rowid;
`

// Longer than any transaction of ours takes, so that many processes on one root wait for each other and do not fail.
const BUSY_MS = 60_000
const SQLITE_BUSY = 5

export type Row = Record<string, unknown>

/**
 * The metadata of one root. Several processes may have it open: each change is one immediate transaction, which holds
 * the write lock from its first statement, so that what it reads is still so when it writes. A transaction never waits
 * for anything but the disk.
 *
 * A root that is not there is an empty one until the first change makes it: looking at a mistyped path, or a dry run,
 * leaves no directories behind.
 */
export class Database {
  readonly #layout: Layout
  readonly #statements = new Map<string, StatementSync>()
  #db: DatabaseSync | undefined
  #closed = false

  private constructor(layout: Layout) {
    this.#layout = layout
  }

  /**
   * Opens what is there. SYSTEM_CALL_FAILED when it cannot be opened (or made, at the first change), FAILED_PRECONDITION
   * when a newer layercast made it.
   */
  static open(layout: Layout): Database {
    const database = new Database(layout)
    if (database.#found() === undefined) checkPlace(layout)
    return database
  }

  /** Whether the root has been made. */
  get isThere(): boolean {
    return this.#found() !== undefined
  }

  /** Runs the work under the write lock; all of it counts, or none of it. */
  transaction<T>(work: () => T): T {
    const db = this.#made()
    db.exec('begin immediate')
    try {
      const result = work()
      db.exec('commit')
      return result
    } catch (error) {
      if (db.isTransaction) db.exec('rollback')
      throw error
    }
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#found() && this.#prepare(sql).get(...values)
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#found() ? this.#prepare(sql).all(...values) : []
  }

  /** How many rows changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes)
  }

  /** Inserts one row and says its number. */
  insert(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).lastInsertRowid)
  }

  close(): void {
    this.#closed = true
    this.#statements.clear()
    this.#db?.close()
    this.#db = undefined
  }

  /** The connection, where there is a file to connect to: another process may have made it since. */
  #found(): DatabaseSync | undefined {
    return this.#db ?? (existsSync(this.#layout.database) ? this.#made() : undefined)
  }

  #made(): DatabaseSync {
    if (this.#closed) throw new Error(`the embedded root ${this.#layout.root} was closed`)
    this.#db ??= connect(this.#layout)
    return this.#db
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#made().prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

function connect(layout: Layout): DatabaseSync {
  try {
    makeTree(layout)
    return openFile(layout.database)
  } catch (cause) {
    throw cause instanceof LayercastError ? cause : cannotOpen(layout, cause)
  }
}

/** Tells at once, not at the first change, where a file stands in the root's way. */
function checkPlace(layout: Layout): void {
  let place = layout.root
  while (!existsSync(place)) place = dirname(place)
  if (!statSync(place).isDirectory()) throw cannotOpen(layout, new Error(`${place} is not a directory`))
}

function cannotOpen({ root }: Layout, cause: unknown): LayercastError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new LayercastError('SYSTEM_CALL_FAILED', `the embedded root ${root} cannot be opened: ${why}`, {
    cause,
    fix: 'Choose a directory that this user may write with --root, or run as root.',
    detail: { root },
  })
}

function openFile(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: BUSY_MS, enableForeignKeyConstraints: true })
  try {
    useWriteAheadLog(db)
    db.exec('pragma synchronous = full')
    db.exec('begin immediate')
    migrate(db, path)
    db.exec('commit')
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/**
 * SQLite waits for others with everything but this: it goes over to write-ahead logging by way of a read lock, and whoever
 * has one of those never waits for a write lock. Two processes that make one root at once would fail.
 */
function useWriteAheadLog(db: DatabaseSync): void {
  const end = Date.now() + BUSY_MS
  for (;;) {
    try {
      db.exec('pragma journal_mode = wal')
      return
    } catch (error) {
      if (!isBusy(error) || Date.now() > end) throw error
      // Not for equally long: two that try in step would refuse each other again.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1 + Math.random() * 10)
    }
  }
}

function isBusy(error: unknown): boolean {
  // The upper bits say why.
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY
}

function migrate(db: DatabaseSync, path: string): void {
  const version = Number(db.prepare('pragma user_version').get()?.['user_version'])
  if (version === SCHEMA_VERSION) return
  if (version > SCHEMA_VERSION) {
    throw new LayercastError('FAILED_PRECONDITION', `${path} was written by a newer layercast (schema ${version})`, {
      fix: 'Run the newer layercast, or choose another directory with --root.',
      detail: { version, known: SCHEMA_VERSION },
    })
  }
  db.exec(SCHEMA)
  db.exec(`pragma user_version = ${SCHEMA_VERSION}`)
}
