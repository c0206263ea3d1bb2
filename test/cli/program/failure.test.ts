/** Errors as stderr has them. */

import { describe, expect, test } from 'vitest'
import { asLayercastError, renderError } from '../../../functions/cli/program/failure.ts'
import { LayercastError } from '../../../functions/errors.ts'

describe('an error', () => {
  const error = new LayercastError('BLOB_NOT_FOUND', 'the blob is gone', {
    fix: 'Pull it again.',
    detail: { digest: 'sha256:00', size: 1n },
    cause: new Error('beneath'),
  })

  test('is a line with its code, and what to do', () => {
    expect(renderError(error, { json: false, verbose: false })).toBe(
      'layercast: the blob is gone (BLOB_NOT_FOUND)\n  fix: Pull it again.\n',
    )
  })

  test('shows what was beneath it when asked', () => {
    const text = renderError(error, { json: false, verbose: true })
    expect(text).toContain('  digest: sha256:00\n')
    expect(text).toContain('  because: Error: beneath')
  })

  test('is one line of JSON for a program', () => {
    const text = renderError(error, { json: true, verbose: true })
    expect(text.indexOf('\n')).toBe(text.length - 1)
    expect(JSON.parse(text)).toEqual({
      error: {
        code: 'BLOB_NOT_FOUND',
        message: 'the blob is gone',
        fix: 'Pull it again.',
        detail: { digest: 'sha256:00', size: '1' },
        exit: 3,
      },
    })
  })

  test('that is none of ours says that it is a fault, and keeps its cause', () => {
    const cause = new TypeError('x is not a function')
    const made = asLayercastError(cause)
    expect([made.code, made.exit, made.cause]).toEqual(['INTERNAL', 1, cause])
  })
})
