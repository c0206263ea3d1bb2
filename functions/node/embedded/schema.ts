/** The database's file: its schema, how it is made, and how it is checked. */
import { linkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { LayercastError } from '../../errors.ts'
import { jittered, pauseSync } from '../../kit/pause.ts'
import { damaged, databaseFailure, sqliteCode } from './failures.ts'
import type { Layout } from './layout.ts'
import { processName } from './process-name.ts'

const SCHEMA_VERSION = 1
// "lcst" in the file's header, by which file(1) and others tell its format. Older databases have 0.
const APPLICATION_ID = 0x6c637374

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
const TABLES = ['blobs', 'images', 'lease_resources', 'leases', 'snapshots']

// Longer than any transaction takes, so that many processes on one root wait for each other and do not fail.
export const BUSY_MS = 60_000
const SQLITE_BUSY = 5

/**
 * Makes the root's database, with what `fill` inserts, unless another process is first. It appears under its name only when it is
 * complete, so that an incomplete file of that name is always a damaged one.
 */
export function createDatabase(layout: Layout, fill: (db: DatabaseSync) => void = () => undefined): void {
  const path = join(layout.ingest, processName())
  try {
    const db = new DatabaseSync(path, { enableForeignKeyConstraints: true })
    try {
      db.exec('pragma journal_mode = wal')
      db.exec('pragma synchronous = full')
      db.exec('begin')
      db.exec(SCHEMA)
      db.exec(`pragma user_version = ${SCHEMA_VERSION}`)
      db.exec(`pragma application_id = ${APPLICATION_ID}`)
      fill(db)
      db.exec('commit')
      if (Number(db.prepare('pragma wal_checkpoint(truncate)').get()?.['busy']) !== 0) {
        throw new Error(`${path} is in use by another process`)
      }
    } finally {
      db.close()
    }
    linkSync(path, layout.database)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true })
  }
}

/** Opens the database for changes. Only after `checkWhole`. */
export function connect(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: BUSY_MS, enableForeignKeyConstraints: true })
  try {
    useWriteAheadLog(db)
    db.exec('pragma synchronous = full')
    if (applicationOf(db) !== APPLICATION_ID) db.exec(`pragma application_id = ${APPLICATION_ID}`)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/**
 * Checks every page and index. DATABASE_DAMAGED where the database is another program's or damaged; FAILED_PRECONDITION where a newer
 * layercast wrote it. Changes nothing.
 */
export function checkWhole(db: DatabaseSync, layout: Layout): void {
  try {
    const version = Number(db.prepare('pragma user_version').get()?.['user_version'])
    const application = applicationOf(db)
    if (application !== APPLICATION_ID && application !== 0) throw damaged(layout, "it is another program's")
    if (version > SCHEMA_VERSION) {
      throw new LayercastError(
        'FAILED_PRECONDITION',
        `${layout.database} was written by a newer layercast (schema ${version})`,
        {
          fix: 'Run the newer layercast, or choose another directory with --root.',
          detail: { version, known: SCHEMA_VERSION },
        },
      )
    }
    const tables = db.prepare("select name from sqlite_schema where type = 'table'").all()
    const there = new Set(tables.map((row) => row['name']))
    if (there.size === 0) throw damaged(layout, 'it is empty')
    const missing = TABLES.filter((name) => !there.has(name))
    if (missing.length > 0) throw damaged(layout, `it has no table ${missing.join(', ')}`)
    const found = Object.values(db.prepare('pragma integrity_check(1)').get() ?? {})[0]
    if (found !== 'ok') throw damaged(layout, String(found))
  } catch (error) {
    throw databaseFailure(layout, error)
  }
}

function applicationOf(db: DatabaseSync): number {
  return Number(db.prepare('pragma application_id').get()?.['application_id'])
}

/**
 * SQLite's busy timeout does not apply here: the change to write-ahead logging takes a read lock first, and a connection with a read
 * lock does not wait for a write lock. Two processes that change at once would fail, so this tries again.
 */
function useWriteAheadLog(db: DatabaseSync): void {
  const end = performance.now() + BUSY_MS
  for (;;) {
    try {
      db.exec('pragma journal_mode = wal')
      return
    } catch (error) {
      if (sqliteCode(error) !== SQLITE_BUSY || performance.now() > end) throw error
      // A random wait, so that two processes do not try again at the same moment.
      pauseSync(jittered(6, 5 / 6))
    }
  }
}
