import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Miniflare, NoOpLog } from 'miniflare'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { readMigrations } from '../../functions/serve/bundle.ts'
import { applyMigrations } from '../../functions/serve/migrations.ts'

/** Against a real D1, in memory. */

type Database = Parameters<typeof applyMigrations>[0]

let miniflare: Miniflare
let db: Database
let directory: string

beforeAll(async () => {
  const manifest = { mainModule: 'i.js', modules: { 'i.js': { type: 'esm' as const, contents: 'export default {}' } } }
  const config = { name: 'x', compatibilityDate: '2026-10-01', manifest, env: { DB: { type: 'd1' as const, id: 'x' } } }
  miniflare = new Miniflare({
    cf: false,
    enableDevRegistry: false,
    log: new NoOpLog(),
    workers: [{ config, dev: { rootPath: tmpdir() } }],
  })
  db = (await miniflare.getBindings<{ DB: Database }>()).DB
}, 60_000)

afterAll(() => miniflare.dispose())

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'layercast-migrations-'))
  for (const table of await tables()) await db.prepare(`DROP TABLE ${table}`).run()
})

afterEach(() => rm(directory, { recursive: true, force: true }))

async function tables(): Promise<string[]> {
  const select = `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'`
  return (await db.prepare(`${select} ORDER BY name`).all<{ name: string }>()).results.map(({ name }) => name)
}

const apply = async () => applyMigrations(db, await readMigrations(directory))

const write = (name: string, sql: string) => writeFile(path.join(directory, name), sql)

test('each is applied once, in the order of its name, whatever else lies beside it', async () => {
  await write('0002_more.sql', 'INSERT INTO a (x) VALUES (1);\nINSERT INTO a (x) VALUES (2);\n')
  await write('0001_first.sql', '-- a comment; with a semicolon;\nCREATE TABLE a (\n  x INTEGER\n);\n')
  await write('notes.txt', 'DROP TABLE a;')
  expect(await apply()).toEqual(['0001_first.sql', '0002_more.sql'])
  expect(await apply()).toEqual([])
  await write('0003_last.sql', 'INSERT INTO a (x) VALUES (3);')
  expect(await apply()).toEqual(['0003_last.sql'])
  expect((await db.prepare('SELECT x FROM a ORDER BY x').all()).results).toEqual([{ x: 1 }, { x: 2 }, { x: 3 }])
})

test('one that fails leaves nothing of itself, is not noted, and stops those after it', async () => {
  await write('0001_first.sql', 'CREATE TABLE a (x INTEGER);')
  await write('0002_broken.sql', 'CREATE TABLE b (x INTEGER);\nINSERT INTO none VALUES (1);')
  await write('0003_after.sql', 'CREATE TABLE c (x INTEGER);')
  await expect(apply()).rejects.toThrow(/none/)
  expect(await tables()).toEqual(['a', 'd1_migrations'])
  await write('0002_broken.sql', 'CREATE TABLE b (x INTEGER);')
  expect(await apply()).toEqual(['0002_broken.sql', '0003_after.sql'])
})

test("what was applied is noted in wrangler's own table, and what wrangler noted is not applied again", async () => {
  await write('0001_first.sql', 'CREATE TABLE a (x INTEGER);')
  await apply()
  const { results } = await db.prepare('SELECT * FROM d1_migrations').all()
  expect(results).toEqual([{ id: 1, name: '0001_first.sql', applied_at: expect.any(String) as unknown }])
  await db.prepare(`INSERT INTO d1_migrations (name) VALUES ('0002_by_wrangler.sql')`).run()
  await write('0002_by_wrangler.sql', 'CREATE TABLE a (x INTEGER);')
  expect(await apply()).toEqual([])
})
