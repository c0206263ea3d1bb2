import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromProblem, toProblem } from '../../functions/contract/problem.ts'
import { CODES, LayercastError } from '../../functions/errors.ts'
import type { Code } from '../../functions/errors.ts'

const WHERE = 'http://api.test'

describe('a problem document', () => {
  test.each(Object.keys(CODES) as Code[])('tells %s and becomes the same error again', (code) => {
    const error = new LayercastError(code, 'what is wrong: 7', { fix: 'Do that', detail: { limit: 7 } })
    const problem = JSON.parse(JSON.stringify(toProblem(error, '/v1/x'))) as unknown
    expect(problem).toMatchObject({ code, status: error.status, detail: 'what is wrong: 7', instance: '/v1/x' })
    const back = fromProblem(problem, error.status, WHERE)
    expect([back.code, back.message, back.fix, back.exit]).toEqual([code, error.message, 'Do that', error.exit])
    expect(back.detail).toEqual({ limit: 7, status: error.status })
  })

  test('holds no cause and no stack', () => {
    const cause = new Error('secret path /etc/x')
    const text = JSON.stringify(toProblem(new LayercastError('INTERNAL', 'no', { cause })))
    expect(text).not.toContain('secret')
    expect(text).not.toContain('stack')
  })

  test('of an unknown code keeps its words under the nearest code that its status tells', () => {
    const problem = { type: 'x', title: 'x', status: 404, detail: 'no such thing', code: 'FROM_THE_FUTURE' }
    expect(fromProblem(problem, 404, WHERE)).toMatchObject({
      code: 'NOT_FOUND',
      message: 'FROM_THE_FUTURE: no such thing',
    })
  })

  test.each(['constructor', '__proto__', 'toString'])('of code %s is of no known code', (code) => {
    const problem = { type: 'x', title: 'x', status: 500, detail: 'd', code }
    expect(fromProblem(problem, 500, WHERE).code).toBe('SERVER_FAILED')
  })

  test.each([401, 403, 404, 413, 418, 500, 502])('that is none tells nothing by its status %i', (status) => {
    for (const body of ['<html>', undefined, null, {}, { code: 'TOKEN_INVALID' }]) {
      expect(fromProblem(body, status, WHERE)).toMatchObject({ code: 'SERVER_FAILED', detail: { status } })
    }
  })

  test('of another type or status than its code has here is not taken at its word', () => {
    const own = toProblem(new LayercastError('TOKEN_INVALID', 'no'))
    for (const [problem, status] of [
      [{ ...own, type: 'about:blank' }, 401],
      [{ ...own, status: 403 }, 401],
      [own, 403],
      [own, 502],
      [{ ...own, code: 'TOKEN_ASLEEP' }, 401],
    ] as const) {
      expect(fromProblem(problem, status, WHERE).code).toBe('SERVER_FAILED')
    }
    expect(fromProblem(own, 401, WHERE).code).toBe('TOKEN_INVALID')
  })

  test('is kept within bounds, whatever it says', () => {
    const long = 'x'.repeat(1 << 20)
    const own = toProblem(new LayercastError('INTERNAL', long, { fix: long }))
    const [known, unknown] = [fromProblem(own, 500, WHERE), fromProblem({ ...own, code: long }, 500, WHERE)]
    for (const error of [known, unknown]) expect(error.message.length + (error.fix ?? '').length).toBeLessThan(16_384)
  })

  test('made of anything at all becomes an error of the family', () => {
    const wrong = fc
      .sample(fc.tuple(fc.jsonValue(), fc.integer({ min: 400, max: 599 })), 1000)
      .filter(([body, status]) => {
        const error = fromProblem(body, status, WHERE)
        return !(error instanceof LayercastError) || !Object.hasOwn(CODES, error.code)
      })
    expect(wrong).toEqual([])
  })
})
