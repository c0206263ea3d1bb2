import { statSync } from 'node:fs'
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { hasCode, LayercastError } from '../../errors.ts'
import { databaseFailure, databaseGone, writeFailure } from './failures.ts'
import { makeTree, type Layout } from './layout.ts'
import { Reader } from './reader.ts'
import { cannotOpen, foreignRoot, looksLikeRoot, rootState, writeMark, type RootState } from './root-mark.ts'
import { connect, createDatabase } from './schema.ts'

export type Row = Record<string, unknown>

/** What is done once, before the first change: first with the root and no database, then with the database open. */
export interface FirstChange {
  root(): Promise<void>
  database(): Promise<void>
}

/**
 * The metadata of one root. Several processes may have it open: each change is one immediate transaction, which holds
 * the write lock from its first statement, so that what it reads is still so when it writes. A transaction never waits
 * for anything but the disk.
 *
 * Until the first change nothing is written at all, and a root that is not there is an empty one: looking at a mistyped
 * path, a dry run, or a listing of a read-only disk leaves everything as it was.
 */
export class Database {
  readonly #layout: Layout
  readonly #reader: Reader
  readonly #statements = new Map<string, StatementSync>()
  #db: DatabaseSync | undefined
  #inode = 0n
  #ready: Promise<void> | undefined
  #closed = false
  /** Set once, by whoever opens the root. */
  beforeFirstChange: FirstChange | undefined

  private constructor(layout: Layout) {
    this.#layout = layout
    this.#reader = new Reader(layout)
  }

  /**
   * Opens what is there and changes nothing. ROOT_FOREIGN, DATABASE_DAMAGED; SYSTEM_CALL_FAILED when it cannot be read (or
   * made, at the first change); FAILED_PRECONDITION when a newer layercast made it.
   */
  static open(layout: Layout): Database {
    const database = new Database(layout)
    database.#look()
    return database
  }

  /** Runs the work under the write lock; all of it counts, or none of it. */
  async transaction<T>(work: () => T): Promise<T> {
    this.#ready ??= this.#prepareForChange().catch((error: unknown) => {
      this.#ready = undefined
      this.#disconnect()
      throw writeFailure(this.#layout, error)
    })
    await this.#ready
    return this.locked(work)
  }

  /** As `transaction`, for what comes within or after the first one. */
  locked<T>(work: () => T): T {
    const db = this.#open()
    try {
      db.exec('begin immediate')
      try {
        this.#checkPlace()
        const result = work()
        db.exec('commit')
        return result
      } finally {
        if (db.isTransaction) db.exec('rollback')
      }
    } catch (error) {
      throw writeFailure(this.#layout, error)
    }
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#read((prepare) => prepare(sql).get(...values))
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#read((prepare) => prepare(sql).all(...values)) ?? []
  }

  /** How many rows changed. Within a transaction only. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes)
  }

  /** Inserts one row and says its number. Within a transaction only. */
  insert(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).lastInsertRowid)
  }

  close(): void {
    this.#closed = true
    this.#reader.close()
    this.#disconnect()
  }

  #disconnect(): void {
    this.#statements.clear()
    this.#db?.close()
    this.#db = undefined
  }

  #read<T>(read: (prepare: (sql: string) => StatementSync) => T): T | undefined {
    this.#checkOpen()
    if (this.#db === undefined) {
      const answer = this.#reader.query((prepare) => ({ value: read(prepare) }))
      // Not there: then it never was, or that is told.
      if (answer === undefined) this.#look()
      return answer?.value
    }
    try {
      return read((sql) => this.#prepare(sql))
    } catch (error) {
      throw databaseFailure(this.#layout, error)
    }
  }

  /** What the root is, its database found whole where it has one. */
  #look(): RootState {
    const state = rootState(this.#layout)
    if (state === 'headless') throw databaseGone(this.#layout)
    if (state === 'absent') return state
    try {
      if (this.#reader.query(() => true) === undefined) return this.#look()
    } catch (error) {
      // A file of that name among things that are not ours is somebody else's.
      if (state === 'unmarked' && hasCode(error, 'DATABASE_DAMAGED') && !looksLikeRoot(this.#layout)) {
        throw foreignRoot(this.#layout, error)
      }
      throw error
    }
    return state
  }

  async #prepareForChange(): Promise<void> {
    this.#checkOpen()
    const state = this.#look()
    try {
      writeMark(this.#layout)
      makeTree(this.#layout)
      // On a full disk this is what makes the room that the rest takes.
      await this.beforeFirstChange?.root()
      if (state === 'absent') createDatabase(this.#layout)
      this.#db = connect(this.#layout.database)
      this.#inode = statSync(this.#layout.database, { bigint: true }).ino
      this.#reader.close()
    } catch (error) {
      const known = writeFailure(this.#layout, error)
      throw known instanceof LayercastError ? known : cannotOpen(this.#layout, error)
    }
    await this.beforeFirstChange?.database()
  }

  /** A rebuild puts the database aside; what is still written to that one would be lost. */
  #checkPlace(): void {
    if (statSync(this.#layout.database, { bigint: true, throwIfNoEntry: false })?.ino === this.#inode) return
    throw new LayercastError('FAILED_PRECONDITION', `${this.#layout.database} was replaced while it was in use`, {
      fix: 'Run the same command again.',
      detail: { root: this.#layout.root },
    })
  }

  #checkOpen(): void {
    if (this.#closed) throw new Error(`the embedded root ${this.#layout.root} was closed`)
  }

  #open(): DatabaseSync {
    this.#checkOpen()
    if (this.#db === undefined) throw new Error('a change outside of a transaction')
    return this.#db
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#open().prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}
