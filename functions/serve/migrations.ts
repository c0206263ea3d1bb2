/** D1 migrations as wrangler applies them, so that a database may go from one to the other. */
/** A migration: its file's name, by which it is noted, and its SQL. */
export interface Migration {
  name: string
  sql: string
}

/** As much of a D1 database as migrating takes. */
export interface Database {
  prepare(sql: string): Statement
  batch(statements: Statement[]): Promise<unknown>
}

interface Statement {
  bind(...values: unknown[]): Statement
  all<Row>(): Promise<{ results: Row[] }>
  run(): Promise<unknown>
}

/** wrangler's own bookkeeping, by its name and shape. */
const TABLE = `CREATE TABLE IF NOT EXISTS d1_migrations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`

/**
 * Applies the migrations that were not applied yet, in the order given, each of them whole or not at all. Gives their
 * names.
 */
export async function applyMigrations(db: Database, migrations: readonly Migration[]): Promise<string[]> {
  await db.prepare(TABLE).run()
  const { results } = await db.prepare('SELECT name FROM d1_migrations').all<{ name: string }>()
  const applied = new Set(results.map((row) => row.name))
  const due = migrations.filter(({ name }) => !applied.has(name))
  for (const { name, sql } of due) {
    const done = db.prepare('INSERT INTO d1_migrations (name) VALUES (?)').bind(name)
    await db.batch([...statementsOf(sql).map((statement) => db.prepare(statement)), done])
  }
  return due.map(({ name }) => name)
}

/** The statements of a migration: ours end with a semicolon at a line's end, and nothing else does. */
function statementsOf(sql: string): string[] {
  const code = sql.replaceAll(/^\s*--.*$/gm, '')
  return code
    .split(/;\s*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}
