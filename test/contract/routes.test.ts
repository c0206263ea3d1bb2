import { describe, expect, test } from 'vitest'
import type { Route } from '../../functions/contract/route.ts'
import { ROUTES } from '../../functions/contract/routes.ts'

describe.each(Object.entries(ROUTES) as Array<[string, Route]>)('%s', (name, route) => {
  test('is named as it is exported, and says what it does', () => {
    expect(route.operationId).toBe(name)
    expect(route.summary).toMatch(/^\S.*[^.]$/)
  })

  test('reads a body up to a limit if it takes one, and none otherwise', () => {
    expect(route['x-body-limit'] !== undefined).toBe(route.request?.body !== undefined)
    expect(route['x-body-limit'] ?? 1).toBeLessThanOrEqual(16 * 1024 * 1024)
  })

  test('changes nothing when it is a GET', () => {
    expect(route.method === 'get' && route.request?.body !== undefined).toBe(false)
  })
})
