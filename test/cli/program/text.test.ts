/** Sizes, times, digests and text from outside. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { age, bytes, duration, printable, shortDigest, shortLabel } from '../../../functions/cli/program/text.ts'

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
