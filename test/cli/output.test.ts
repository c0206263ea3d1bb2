import { Writable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asLayercastError, renderError } from '../../functions/cli/program/failure.ts'
import { createProgress } from '../../functions/cli/program/progress.ts'
import { fields, table } from '../../functions/cli/program/table.ts'
import { age, bytes, duration, printable, shortDigest, shortLabel } from '../../functions/cli/program/text.ts'
import { LayercastError } from '../../functions/errors.ts'

describe('text', () => {
  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1_572_864, '1.5 MiB'],
    [1_048_575, '1.0 MiB'],
    [141_557_760, '135 MiB'],
    [5 * 1024 ** 4, '5.0 TiB'],
  ])('%d bytes are %s', (count, text) => expect(bytes(count)).toBe(text))

  test.each([
    [0.2, '<1 ms'],
    [999, '999 ms'],
    [999.6, '1.0 s'],
    [59_949, '59.9 s'],
    [59_950, '1 m 00 s'],
    [125_000, '2 m 05 s'],
  ])('%d ms are %s', (ms, text) => expect(duration(ms)).toBe(text))

  test('an age is never negative, whatever the clocks say', () => {
    expect(age(new Date(2000), new Date(1000))).toBe('0 s')
    expect(age(new Date(0), new Date(3 * 86_400_000))).toBe('3 d')
  })

  test('digests and labels are short but known', () => {
    expect(shortDigest(`sha256:${'ab'.repeat(32)}`)).toBe('abababababab')
    expect(shortDigest('')).toBe('-')
    expect(shortLabel('containerd.io/snapshot/cri.image-ref')).toBe('cri.image-ref')
    expect(shortLabel('containerd.io/snapshot.ref')).toBe('snapshot.ref')
  })

  test('what comes from outside cannot steer the terminal', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        // oxlint-disable-next-line no-control-regex -- it is what must not be there
        expect(printable(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/u)
      }),
    )
    expect(printable('\u001B[2Jgone')).toBe('\\u001b[2Jgone')
  })
})

describe('a table', () => {
  test('is aligned and ends its lines without blanks', () => {
    const text = table(
      [
        { name: 'a', size: '1 B' },
        { name: 'longer', size: '' },
      ],
      [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'SIZE', value: ({ size }) => size, align: 'right' },
      ],
    )
    expect(text).toBe('NAME    SIZE\na        1 B\nlonger     -\n')
  })

  test('keeps a row on its line, whatever is in it', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 5 }), (values) => {
        const text = table(values, [{ title: 'VALUE', value: (value) => value }])
        expect(text.split('\n')).toHaveLength(values.length + 2)
      }),
    )
  })

  test('fields leave out what there is not', () => {
    expect(
      fields([
        ['a', '1'],
        ['long', undefined],
        ['bcd', '2'],
      ]),
    ).toBe('a    1\nbcd  2\n')
  })
})

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

describe('progress', () => {
  test('says nothing in a pipe', () => {
    const { streams, read } = screen(false)
    const progress = createProgress(streams)
    progress.set('a', { label: 'layer', state: 'applying', done: 1, total: 2 })
    progress.end()
    expect(read()).toBe('')
  })

  test('draws a bar on a terminal, within its width', () => {
    const { streams, read } = screen(true)
    const progress = createProgress(streams)
    progress.set('a', { label: 'layer 1/1', state: 'applying', done: 512, total: 1024 })
    progress.end()
    expect(read()).toContain('████████████░░░░░░░░░░░░  512 B / 1.0 KiB')
    for (const line of read().split('\n')) expect(line.length).toBeLessThanOrEqual(80 + '\u001B[0J'.length)
  })
})

/** A stream that keeps what is written to it. */
function screen(isTTY: boolean) {
  let text = ''
  const stream = Object.assign(
    new Writable({
      write: (chunk, _encoding, done) => {
        text += String(chunk)
        done()
      },
    }),
    { isTTY, columns: 80, rows: 24 },
  )
  return { streams: { stdout: stream, stderr: stream }, read: () => text }
}
