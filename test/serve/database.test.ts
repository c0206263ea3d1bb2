import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'

/** The database of `serve` as the API meets it: workerd's D1 binding before it, in a workerd that listens nowhere. */

const built = fileURLToPath(new URL('../../dist/serve', import.meta.url))
const workerd = (createRequire(import.meta.url)('workerd') as { default: string }).default
let root: string

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'layercast-database-'))
})

afterEach(() => rm(root, { recursive: true, force: true }))

/** Runs code with `DB` and gives what it returns. The data stays from one run to the next. */
async function withDatabase(code: string): Promise<unknown> {
  await mkdir(path.join(root, 'd1'), { recursive: true })
  await writeFile(
    path.join(root, 'run.js'),
    `const run = async (DB) => { ${code} }
     export default { test: async (_, { DB }) => console.log('RESULT ' + JSON.stringify(await run(DB))) }`,
  )
  await writeFile(
    path.join(root, 'run.capnp'),
    `using Workerd = import "/workerd/workerd.capnp";
     using Serve = import "/serve.capnp";
     const config :Workerd.Config = (services = [
       (name = "run", worker = (
         modules = [(name = "run.js", esModule = embed "run.js")],
         compatibilityDate = "2026-10-01", bindings = [Serve.db], globalOutbound = "nowhere")),
       (name = "database", worker = Serve.database),
       (name = "d1", disk = (writable = true)),
       (name = "nowhere", network = (allow = []))]);`,
  )
  const args = ['test', path.join(root, 'run.capnp'), '-I', built, '-d', `d1=${path.join(root, 'd1')}`]
  const { stdout, stderr } = await promisify(execFile)(workerd, args)
  const line = `${stdout}\n${stderr}`.split('\n').find((each) => each.includes('RESULT '))
  return JSON.parse(line?.slice(line.indexOf('RESULT ') + 7) ?? 'null')
}

test('gives rows, columns, single values and what changed', async () => {
  const result = await withDatabase(`
    await DB.prepare('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b BLOB)').run()
    const insert = DB.prepare('INSERT INTO t (a, b) VALUES (?, ?)')
    const one = await insert.bind('x', null).run()
    const two = await insert.bind('ü', new Uint8Array([0, 255]).buffer).run()
    const none = await DB.prepare('DELETE FROM t WHERE id = 9').run()
    return {
      changes: [one, two, none].map(({ meta }) => meta.changes),
      last: two.meta.last_row_id,
      rows: (await DB.prepare('SELECT * FROM t ORDER BY id').all()).results,
      first: await DB.prepare('SELECT count(*) AS n FROM t').first('n'),
      absent: await DB.prepare('SELECT 1 AS n FROM t WHERE id = 9').first(),
      raw: await DB.prepare('SELECT id, a FROM t ORDER BY id').raw({ columnNames: true }),
      numbers: await DB.prepare('SELECT ? AS big, 1.5 AS part').bind(2 ** 40).first(),
    }`)
  expect(result).toEqual({
    changes: [1, 1, 0],
    last: 2,
    rows: [
      { id: 1, a: 'x', b: null },
      { id: 2, a: 'ü', b: [0, 255] },
    ],
    first: 2,
    absent: null,
    raw: [
      ['id', 'a'],
      [1, 'x'],
      [2, 'ü'],
    ],
    numbers: { big: 2 ** 40, part: 1.5 },
  })
})

test('a batch is done whole or not at all, and its error comes to who asked', async () => {
  const result = await withDatabase(`
    await DB.prepare('CREATE TABLE t (id INTEGER PRIMARY KEY)').run()
    const insert = DB.prepare('INSERT INTO t VALUES (?)')
    const failed = await DB.batch([insert.bind(1), insert.bind(1)]).catch((error) => error.message)
    const after = await DB.prepare('SELECT count(*) AS n FROM t').first('n')
    const [, both] = await DB.batch([insert.bind(2), DB.prepare('SELECT id FROM t'), insert.bind(3)])
    return { failed, after, seen: both.results, at: await DB.prepare('SELECT max(id) AS n FROM t').first('n') }`)
  expect(result).toEqual({
    failed: expect.stringMatching(/^D1_ERROR: UNIQUE constraint failed: t.id/u) as unknown,
    after: 0,
    seen: [{ id: 2 }],
    at: 3,
  })
})

test('what was written is there for the next process', async () => {
  await withDatabase(
    `await DB.prepare('CREATE TABLE t (a TEXT)').run(); await DB.prepare("INSERT INTO t VALUES ('kept')").run(); return null`,
  )
  expect(await withDatabase(`return await DB.prepare('SELECT a FROM t').first('a')`)).toBe('kept')
})
