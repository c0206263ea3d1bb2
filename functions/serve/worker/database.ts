/**
 * The database of `layercast serve`: what D1 is at the edge, here a Durable Object over SQLite. workerd's D1 binding
 * (cloudflare-internal:d1-api) calls it by D1's HTTP protocol, so that the API uses the same binding in both places.
 */
import type { DurableObjectNamespace, DurableObjectState, SqlStorage } from '@cloudflare/workers-types'

type Value = number | string | null | number[]

interface Query {
  sql: string
  params?: Value[] | null
}

/** The object's name. It must not change: the name of its database file is made from it. */
const NAME = 'layercast'

export class D1DatabaseObject {
  readonly #storage: DurableObjectState['storage']

  constructor(state: DurableObjectState) {
    this.#storage = state.storage
  }

  /** Runs one statement, or several in a transaction: all of them or none. */
  async fetch(request: Request): Promise<Response> {
    const asked = (await request.json()) as Query | Query[]
    const queries = Array.isArray(asked) ? asked : [asked]
    const columnar = new URL(request.url).searchParams.get('resultsFormat') === 'ROWS_AND_COLUMNS'
    try {
      const { sql } = this.#storage
      return Response.json(this.#storage.transactionSync(() => queries.map((query) => run(sql, query, columnar))))
    } catch (error) {
      // The binding throws this as an error in the Worker that called.
      return Response.json({ success: false, error: error instanceof Error ? error.message : String(error) })
    }
  }
}

/** The service that the binding calls. There is one database, and so one object. */
export default {
  fetch(request: Request, env: { OBJECT: DurableObjectNamespace }) {
    const stub = env.OBJECT.get(env.OBJECT.idFromName(NAME))
    return stub.fetch(request as unknown as Parameters<typeof stub.fetch>[0])
  },
}

function run(sql: SqlStorage, query: Query, columnar: boolean) {
  const before = totals(sql)
  const sizeBefore = sql.databaseSize
  const started = performance.now()
  const cursor = sql.exec(query.sql, ...(query.params ?? []).map(parameterOf))
  const columns = cursor.columnNames
  const rows = [...cursor.raw()].map((row) => row.map(valueOf))
  const duration = performance.now() - started
  const after = totals(sql)
  const changes = after.changes - before.changes
  return {
    success: true,
    results: columnar ? { columns, rows } : rows.map((row) => Object.fromEntries(columns.map((c, at) => [c, row[at]]))),
    meta: {
      served_by: 'layercast',
      duration,
      changes,
      last_row_id: after.lastRowId,
      changed_db: changes > 0 || sql.databaseSize !== sizeBefore,
      size_after: sql.databaseSize,
      rows_read: cursor.rowsRead,
      rows_written: cursor.rowsWritten,
    },
  }
}

function totals(sql: SqlStorage): { changes: number; lastRowId: number } {
  const [row] = sql.exec('SELECT total_changes() AS changes, last_insert_rowid() AS lastRowId').toArray()
  return row as { changes: number; lastRowId: number }
}

/** A parameter as SQLite takes it. The binding sends bytes as a JSON array of numbers. */
function parameterOf(value: Value): number | string | null | ArrayBuffer {
  return Array.isArray(value) ? new Uint8Array(value).buffer : value
}

/** A value as the binding takes it, bytes again as numbers. */
function valueOf(value: number | string | null | ArrayBuffer): Value {
  return value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value
}
