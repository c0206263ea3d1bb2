import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const api = fileURLToPath(new URL('../../functions/api', import.meta.url))

/** What only a module that talks to the database writes: a statement of SQL, or a call of D1. */
const TALKS_SQL = /\b(?:SELECT|INSERT (?:OR \w+ )?INTO|UPDATE|DELETE FROM)\b|\.(?:prepare|batch)\(/

test('the store talks to the database, and no other room of the API does', () => {
  const modules = readdirSync(api, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  const talking = modules.filter((name) => TALKS_SQL.test(readFileSync(path.join(api, name), 'utf8')))
  expect(talking.filter((name) => name.startsWith('store/')).length).toBeGreaterThan(5)
  expect(talking.filter((name) => !name.startsWith('store/'))).toEqual([])
})
