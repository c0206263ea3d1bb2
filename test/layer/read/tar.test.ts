import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parsePax, paxTime } from '../../../functions/layer/read/pax.ts'
import { readTarHeader } from '../../../functions/layer/read/tar-header.ts'
import {
  device,
  dir,
  file,
  hardlink,
  other,
  raw,
  sparse,
  symlink,
  type TarEntry,
} from '../../support/images/entries.ts'
import { paxRecord, writeTar } from '../../support/images/tar.ts'
import { readArchive } from '../support/archive.ts'
import type { Member } from '../support/archive.ts'

function read(entries: readonly TarEntry[] | Uint8Array): Member[] {
  const reading = readArchive(entries instanceof Uint8Array ? entries : writeTar(entries))
  if ('error' in reading) throw new Error(reading.error)
  return reading.entries
}

const errorOf = (archive: Uint8Array): unknown => readArchive(archive)

/** A header block with fields put at offsets, and a true checksum. */
function block(fields: Record<number, string | Uint8Array>, signed = false): Buffer {
  const header = Buffer.alloc(512)
  header.write('name', 0, 'latin1')
  header.write('0000644\0', 100, 'latin1')
  header[156] = 0x30
  for (const [at, value] of Object.entries(fields)) Buffer.from(value as string, 'latin1').copy(header, Number(at))
  let sum = 8 * 32
  for (const [at, byte] of header.entries()) if (at < 148 || at > 155) sum += signed && byte > 127 ? byte - 256 : byte
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

describe('header blocks', () => {
  test('v7 has no prefix, no devices; the name may fill its field', () => {
    const header = readTarHeader(block({ 0: 'n'.repeat(100), 345: 'prefix', 329: 'xxxx' }))
    expect(header).toMatchObject({ format: 'v7', name: 'n'.repeat(100), major: 0 })
  })

  test('ustar joins prefix and name; star has a shorter prefix and times', () => {
    expect(readTarHeader(block({ 257: 'ustar\x0000', 345: 'p'.repeat(155) })).name).toBe(`${'p'.repeat(155)}/name`)
    const star = readTarHeader(block({ 257: 'ustar\x0000', 345: 'pre', 476: '00000000012 ', 508: 'tar\0' }))
    expect(star).toMatchObject({ format: 'star', name: 'pre/name', atime: { seconds: 10 } })
  })

  test('GNU has an access time where ustar has its prefix, unless a prefix was written there', () => {
    const gnu = { 257: 'ustar  \0' }
    expect(readTarHeader(block({ ...gnu, 345: '00000000007 ' }))).toMatchObject({ name: 'name', atime: { seconds: 7 } })
    expect(readTarHeader(block({ ...gnu, 345: 'old/go/wrote/this' }))).toMatchObject({ name: 'old/go/wrote/this/name' })
  })

  test.each([
    ['12345670\0', 0o12345670],
    [' 644 \0', 0o644],
    ['\0\0\0\0', 0],
    ['\x80\0\0\0\0\x0f\x42\x40', 1_000_000],
    ['\xff\xff\xff\xff\xff\xff\xff\xfe', -2],
  ])('the number %j is %i', (text, value) => {
    expect(readTarHeader(block({ 108: text.padEnd(8, '\0') })).uid).toBe(value)
  })

  test.each(['8', '12a', '-1', '1 2'])('the number %j is none', (text) => {
    expect(() => readTarHeader(block({ 108: text.padEnd(8, '\0') }))).toThrow(
      expect.objectContaining({ code: 'LAYER_CORRUPT' }),
    )
  })

  test('base 256 over 64 bits is refused', () => {
    const size = Buffer.from([0xbf, ...Array.from({ length: 11 }, () => 0xff)])
    expect(() => readTarHeader(block({ 124: size }))).toThrow('size is no number')
  })

  test('the checksum may have been summed over signed bytes', () => {
    const fields = { 0: 'n\xe4me' }
    expect(readTarHeader(block(fields, true)).name).toBe('n\xe4me')
    expect(readTarHeader(block(fields)).name).toBe('n\xe4me')
    const wrong = block(fields)
    wrong[0] = 0x6f
    expect(() => readTarHeader(wrong)).toThrow('checksum')
  })
})

describe('extended headers', () => {
  test('the last record of a key counts, and a value may hold = and line feeds', () => {
    const records = Buffer.concat([
      paxRecord('a', Buffer.from('1')),
      paxRecord('b', Buffer.from('x=\ny')),
      paxRecord('a', Buffer.from('2')),
    ])
    expect([...parsePax(records)]).toEqual([
      ['a', '2'],
      ['b', 'x=\ny'],
    ])
  })

  test.each(['', '5 a=', '99 a=b\n', '6 a=b', '4 =\n', 'x a=b\n', '-6 a=b\n', '5 =b\n', '5 ab\n'])(
    'the record %j is refused',
    (text) => {
      expect(() => parsePax(Buffer.from(`6 k=v\n${text}${text === '' ? '0 ' : ''}`))).toThrow(
        expect.objectContaining({ code: 'LAYER_CORRUPT' }),
      )
    },
  )

  test.each([
    ['1.5', 1, 500_000_000],
    ['1.', 1, 0],
    ['0.123456789999', 0, 123_456_789],
    ['-1.5', -2, 500_000_000],
    ['-0.1', -1, 900_000_000],
    ['-3', -3, 0],
  ])('the time %s', (text, seconds, nanoseconds) => {
    expect(paxTime(text)).toEqual({ seconds, nanoseconds })
  })

  test.each(['', '.5', '1.x', '1,5', 'now', '9223372036854775808'])('the time %j is none', (text) => {
    expect(() => paxTime(text)).toThrow(expect.objectContaining({ code: 'LAYER_CORRUPT' }))
  })

  test('they change the next entry and no other', () => {
    const [first, second] = read([file('a', 'x', { pax: { path: 'renamed', uid: '5', size: '1' } }), file('b', '')])
    expect(first).toMatchObject({ name: 'renamed', uid: 5, size: 1 })
    expect(second).toMatchObject({ name: 'b', uid: 0 })
  })

  test('an empty value leaves what the block says', () => {
    expect(read([file('a', 'x', { pax: { path: '', uid: '' }, uid: 7 })])).toMatchObject([{ name: 'a', uid: 7 }])
  })

  test('global ones are checked, and change nothing, as with containerd', () => {
    const records = Buffer.from(paxRecord('uid', Buffer.from('5'))).toString()
    expect(read([other('g', 'g', { data: records }), file('a', '')])).toMatchObject([{ name: 'a', uid: 0 }])
    expect(errorOf(writeTar([other('g', 'g', { data: 'nonsense' }), file('a', '')]))).toHaveProperty('error')
  })

  test("GNU's long names win over PAX", () => {
    const entries = [
      other('l', 'L', { data: 'long name\0rest' }),
      other('k', 'K', { data: 'long link\0' }),
      symlink('s', 'x', { pax: { path: 'pax' } }),
    ]
    expect(read(entries)).toMatchObject([{ name: 'long name', link: 'long link' }])
  })
})

describe('the archive as a whole', () => {
  const small = writeTar([file('a', 'content'), dir('d')])

  test('it may end without its blocks of zeros, or with one', () => {
    const names = ['a', 'd/']
    expect(read(small.subarray(0, small.length - 1024)).map((entry) => entry.name)).toEqual(names)
    expect(read(small.subarray(0, small.length - 512)).map((entry) => entry.name)).toEqual(names)
  })

  test('after its end anything may follow', () => {
    expect(read(Buffer.concat([small, Buffer.from('anything'), small]))).toHaveLength(2)
  })

  test('a header after one block of zeros is refused', () => {
    const gap = writeTar([file('a', 'content'), raw(Buffer.alloc(512)), dir('d')])
    expect(errorOf(gap)).toEqual({ error: 'a header follows a block of zeros' })
  })

  test('cut short anywhere within an entry it is refused', () => {
    for (const length of [1, 511, 513, 518]) {
      expect(errorOf(small.subarray(0, length))).toEqual({ error: 'the archive is cut short' })
    }
  })

  test('an old regular file with a slash at its end is a directory', () => {
    expect(read([other('old/', '\0'), other('old', '\0', { data: 'x' })])).toMatchObject([
      { type: '5' },
      { type: '0', size: 1 },
    ])
  })

  test('links, devices and directories have no data, whatever size they tell of', () => {
    const pax = { size: '512' }
    const entries = [hardlink('h', 'a', { pax }), device('c', 'char', 1, 3, { pax }), dir('d', { pax })]
    expect(read([...entries, file('after', '')])).toHaveLength(4)
  })

  test('whatever the sizes of the chunks, the entries are the same', () => {
    const archive = writeTar([
      dir('dir', { mtime: 5 }),
      file('dir/big', 'x'.repeat(3000), { xattrs: { 'user.a': 'b' }, pax: { comment: 'c'.repeat(700) } }),
      file('n'.repeat(300), 'gnu', { format: 'gnu' }),
      sparse('sparse', 9000, [{ offset: 512, data: new Uint8Array(700).fill(1) }]),
      file('last', ''),
    ])
    const whole = readArchive(archive)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: archive.length }), (chunk) => {
        expect(readArchive(archive, chunk)).toEqual(whole)
      }),
    )
  })

  test('hostile bytes end in LAYER_CORRUPT or in entries, never in anything else', () => {
    const archive = writeTar([
      file('a', 'x'.repeat(600), { pax: { 'GNU.sparse.map': '0,600', 'GNU.sparse.numblocks': '1' } }),
      dir('b'),
    ])
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(archive.length - 1), fc.nat(255)), { maxLength: 20 }), (edits) => {
        const copy = Buffer.from(archive)
        for (const [at, value] of edits) copy[at] = value
        expect(Object.keys(readArchive(copy, 100))).toHaveLength(1)
      }),
      { numRuns: 500 },
    )
  })
})
