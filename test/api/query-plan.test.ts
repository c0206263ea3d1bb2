import { readdirSync, readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Database } from '../../functions/api/store/fleet-database.ts'
import { createStore } from '../../functions/api/store/store.ts'
import { testImage } from '../support/test-image.ts'

const migrations = fileURLToPath(new URL('../../functions/api/migrations/', import.meta.url))

/** What looks at every assignment or node of a fleet, because it must: any of them may match. */
const WHOLE_FLEET = ['enrolment.add', 'enrolment.replace', 'assignments.add', 'assignments.latestGeneration']

/** A step that reads a table from end to end, or all rows of a fleet. `SCAN` of JSON or of a subquery's result is neither. */
const READS_ALL =
  /^SCAN (?:texts|images|plans|tokens|nodes|node_labels|assignments|assignment_plans|assigned|reports)\b|\(fleet=\?\)$/

/** A database that answers nothing and notes how SQLite would run each statement. */
function explainer(note: (sql: string, steps: string[]) => void): Database {
  const sqlite = new DatabaseSync(':memory:')
  for (const name of readdirSync(migrations).sort()) {
    if (name.endsWith('.sql')) sqlite.exec(readFileSync(migrations + name, 'utf8'))
  }
  const statement = {
    bind: () => statement,
    first: () =>
      Promise.resolve({
        id: 'one',
        media_type: 'x',
        kept: 1,
        labels: '{}',
        facts: '{}',
        created_at: 0,
        seen_at: 0,
        selector: '{}',
        plans: '[]',
      }),
    all: () => Promise.resolve({ results: [] }),
    run: () => Promise.resolve({ meta: { changes: 0 } }),
  }
  return {
    prepare: (sql: string) => {
      note(
        sql,
        sqlite
          .prepare(`EXPLAIN QUERY PLAN ${sql}`)
          .all()
          .map((step) => String(step['detail'])),
      )
      return statement
    },
    batch: () => Promise.resolve([]),
  } as unknown as Database
}

test('no statement searches all rows of a fleet for those of one node, plan or token', async () => {
  const wasteful = new Set<string>()
  let calls = 0
  let now = ''
  const db = explainer((_, steps) => {
    calls++
    if (steps.some((step) => READS_ALL.test(step))) wasteful.add(now)
  })
  const store = createStore(db, 'default')
  const { manifest } = testImage(1)
  const node = { labels: {}, token: {} }
  const document = { bytes: manifest, plan: { manifest: {}, config: {} } }
  const given: Record<string, unknown[]> = {
    'images.keep': ['digest', document],
    'plans.keep': [[document]],
    'enrolment.add': [node],
    'enrolment.replace': [node],
    'assignments.add': [{}],
    'tokens.addJoinToken': [{}],
    'reports.write': ['one', 1, []],
  }
  for (const [room, methods] of Object.entries(store)) {
    for (const [name, method] of Object.entries(methods)) {
      now = `${room}.${name}`
      await (method as (...args: unknown[]) => Promise<unknown>)(...(given[now] ?? ['one', 2]))
    }
  }
  expect(calls).toBeGreaterThan(40)
  expect([...wasteful].sort()).toEqual(WHOLE_FLEET.toSorted())
})
