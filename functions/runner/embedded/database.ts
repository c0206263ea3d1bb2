import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { LayercastError } from '../../image/errors.ts'

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

export type Row = Record<string, unknown>

/**
 * The metadata of one root. Several processes may have it open: each change is one immediate transaction, which holds
 * the write lock from its first statement, so that what it reads is still so when it writes. A transaction never waits
 * for anything but the disk.
 */
export class Database {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  private constructor(db: DatabaseSync) {
    this.#db = db
  }

  /** Opens the file, making it where it is not there. FAILED_PRECONDITION when a newer layercast made it. */
  static open(path: string): Database {
    const db = new DatabaseSync(path, { timeout: BUSY_MS, enableForeignKeyConstraints: true })
    try {
      db.exec('pragma journal_mode = wal; pragma synchronous = full')
      const database = new Database(db)
      database.transaction(() => migrate(db, path))
      return database
    } catch (error) {
      db.close()
      throw error
    }
  }

  /** Runs the work under the write lock; all of it counts, or none of it. */
  transaction<T>(work: () => T): T {
    this.#db.exec('begin immediate')
    try {
      const result = work()
      this.#db.exec('commit')
      return result
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('rollback')
      throw error
    }
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values)
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values)
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
    this.#statements.clear()
    this.#db.close()
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
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
