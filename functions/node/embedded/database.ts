/** The metadata of a root, in SQLite. */
import { statSync } from 'node:fs'
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { hasCode, LayercastError } from '../../errors.ts'
import { once } from '../../kit/once.ts'
import { databaseFailure, databaseGone, writeFailure } from './failures.ts'
import { makeTree, type Layout } from './layout.ts'
import { Reader } from './reader.ts'
import { cannotOpen, foreignRoot, looksLikeRoot, rootState, writeMark, type RootState } from './root-mark.ts'
import { connect, createDatabase } from './schema.ts'

export type Row = Record<string, unknown>

/** What is done once, before the first change: first `root`, without the database, then `database`, with it open. */
export interface FirstChange {
  root(): Promise<void>
  database(): Promise<void>
}

/**
 * The metadata of one root. Several processes may have it open: each change is one immediate transaction, which has the write lock
 * from its first statement on, so that what it reads cannot change before it writes. A transaction waits for nothing but the disk.
 *
 * Nothing is written before the first change, and a root that does not exist is an empty one: to look at a mistyped path, a dry run,
 * or a listing of a read-only disk changes nothing.
 */
export class RootDatabase {
  readonly #layout: Layout
  readonly #reader: Reader
  readonly #statements = new Map<string, StatementSync>()
  #db: DatabaseSync | undefined
  #inode = 0n
  readonly #ready = once(async () => {
    try {
      await this.#prepareForChange()
    } catch (error) {
      this.#disconnect()
      throw writeFailure(this.#layout, error)
    }
  })
  #closed = false
  /** Set once, when the root is opened. */
  beforeFirstChange: FirstChange | undefined

  private constructor(layout: Layout) {
    this.#layout = layout
    this.#reader = new Reader(layout)
  }

  /**
   * Opens a root and changes nothing. ROOT_FOREIGN, DATABASE_DAMAGED; SYSTEM_CALL_FAILED where it cannot be read (or, at the first
   * change, created); FAILED_PRECONDITION where a newer layercast wrote it.
   */
  static open(layout: Layout): RootDatabase {
    const database = new RootDatabase(layout)
    database.#look()
    return database
  }

  /** Runs the work as one transaction under the write lock: all of its changes are made, or none. */
  async transaction<T>(work: () => T): Promise<T> {
    await this.#ready()
    return this.locked(work)
  }

  /** As `transaction`, but only after the first one, or from `beforeFirstChange`. */
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

  /** Returns how many rows changed. Within a transaction only. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes)
  }

  /** Inserts one row and returns its number. Within a transaction only. */
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
      // There is no database: the root is new, or this throws that the database is gone.
      if (answer === undefined) this.#look()
      return answer?.value
    }
    try {
      return read((sql) => this.#prepare(sql))
    } catch (error) {
      throw databaseFailure(this.#layout, error)
    }
  }

  /** The state of the root. Throws where its database is damaged or gone. */
  #look(): RootState {
    const state = rootState(this.#layout)
    if (state === 'headless') throw databaseGone(this.#layout)
    if (state === 'absent') return state
    try {
      if (this.#reader.query(() => true) === undefined) return this.#look()
    } catch (error) {
      // A file of the database's name among files that are not layercast's is not layercast's either.
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
      // On a full disk this makes room for what follows.
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

  /** A rebuild moves the database away. What is written into the moved one would be lost. */
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
