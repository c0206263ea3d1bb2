/** D1 migrations, applied and recorded as wrangler does it, so that either can go on with a database of the other. */

/** A migration: the name of its file, under which it is recorded, and its SQL. */
export interface Migration {
  name: string
  sql: string
}

/** The part of a D1 database that migrations need. */
export interface MigratedDatabase {
  prepare(sql: string): Statement
  batch(statements: Statement[]): Promise<unknown>
}

interface Statement {
  bind(...values: unknown[]): Statement
  all<Row>(): Promise<{ results: Row[] }>
  run(): Promise<unknown>
}

/** The table in which wrangler records what it applied, under its own name and with its columns. */
const TABLE = `CREATE TABLE IF NOT EXISTS d1_migrations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`

/**
 * Applies those migrations that are not recorded yet, in the given order, each of them whole or not at all. Gives their
 * names. Throws the database's error of the first that fails.
 */
export async function applyMigrations(db: MigratedDatabase, migrations: readonly Migration[]): Promise<string[]> {
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

/** The statements of a migration. In ours a semicolon at the end of a line ends a statement, and stands nowhere else. */
function statementsOf(sql: string): string[] {
  const code = sql.replaceAll(/^\s*--.*$/gm, '')
  return code
    .split(/;\s*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}
