import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { TarError, TarIndex } from '../../../functions/runner/sources/tar-index.ts'
import {
  device,
  dir,
  fifo,
  file,
  hardlink,
  other,
  raw,
  sparse,
  symlink,
  type TarEntry,
} from '../../support/images/entries.ts'
import { writeTar } from '../../support/images/tar.ts'

const at = mkdtempSync(join(tmpdir(), 'layercast-tar-'))
afterAll(() => rmSync(at, { recursive: true, force: true }))

/** What the archive says these names are, as text; undefined for what is not there. */
async function lookUp(tar: Uint8Array, ...names: string[]): Promise<(string | undefined)[]> {
  const path = join(at, 'archive.tar')
  writeFileSync(path, tar)
  const handle = await open(path)
  try {
    const index = await TarIndex.read(handle)
    return names.map((name) => {
      const member = index.find(name)
      return member && Buffer.from(tar.subarray(member.offset, member.offset + member.size)).toString()
    })
  } finally {
    await handle.close()
  }
}

describe('the index of an archive', () => {
  test('finds files under long names in each dialect, whatever lies between', async () => {
    const long = `${'d/'.repeat(60)}${'n'.repeat(120)}`
    const ustar = `${'e'.repeat(90)}/${'n'.repeat(90)}`
    const tar = writeTar([
      dir('blobs'),
      file('first', '1'),
      file(long, 'pax'),
      device('null', 'char', 1, 3),
      fifo('pipe'),
      file(`gnu/${long}`, 'gnu', { format: 'gnu' }),
      file(ustar, 'ustar', { format: 'ustar' }),
      file('./dotted', 'dot'),
      file('last', 'x'.repeat(513)),
    ])
    expect(await lookUp(tar, 'first', long, `gnu/${long}`, ustar, 'dotted', 'last')).toEqual([
      '1',
      'pax',
      'gnu',
      'ustar',
      'dot',
      'x'.repeat(513),
    ])
    expect(await lookUp(tar, 'blobs', 'null', 'pipe', 'nothing')).toEqual([undefined, undefined, undefined, undefined])
  })

  test('follows links within the archive', async () => {
    const tar = writeTar([
      file('a/layer.tar', 'layer'),
      symlink('b/layer.tar', '../a/layer.tar'),
      hardlink('c/layer.tar', 'a/layer.tar'),
      symlink('d', 'b/layer.tar'),
    ])
    expect(await lookUp(tar, 'b/layer.tar', 'c/layer.tar', 'd')).toEqual(['layer', 'layer', 'layer'])
  })

  test('leads nowhere out of the archive: absolute names, names above it, links to both', async () => {
    const tar = writeTar([
      file('/etc/passwd', 'no'),
      file('../above', 'no'),
      file('a/../../above2', 'no'),
      symlink('absolute', '/etc/passwd'),
      symlink('above-link', '../../../etc/passwd'),
      hardlink('hard', '/etc/passwd'),
    ])
    const names = ['/etc/passwd', 'etc/passwd', '../above', 'above', '../above2', 'absolute', 'above-link', 'hard']
    expect(await lookUp(tar, ...names)).toEqual(names.map(() => undefined))
  })

  test('ends at links in a circle', async () => {
    await expect(lookUp(writeTar([symlink('a', 'b'), symlink('b', 'a')]), 'a')).rejects.toThrow('circle')
  })

  test('has the last of several files of one name, whatever else bears it', async () => {
    const tar = writeTar([
      file('index.json', 'one'),
      file('other', 'x'),
      file('./index.json', 'two'),
      dir('index.json'),
      hardlink('index.json', 'other'),
    ])
    expect(await lookUp(tar, 'other', 'index.json')).toEqual(['x', 'two'])
  })

  test('has a link before a file of its name, or after it, as asked', async () => {
    const tar = writeTar([symlink('a', 'b'), file('a', 'of a'), file('b', 'of b')])
    expect(await lookUp(tar, 'a')).toEqual(['of a'])
    const path = join(at, 'archive.tar')
    const handle = await open(path)
    try {
      const index = await TarIndex.read(handle, 'links-first')
      expect(index.find('a')).toEqual(index.find('b'))
    } finally {
      await handle.close()
    }
  })

  const hostile: [string, TarEntry[] | Uint8Array, string][] = [
    [
      'a wrong checksum',
      [
        raw(
          writeTar([file('a')])
            .subarray(0, 512)
            .with(0, 0x42),
        ),
      ],
      'checksum',
    ],
    ['text in it', [raw(new Uint8Array(512).fill(0x41))], 'checksum'],
    ['a sparse file', [sparse('s', 1000, [{ offset: 0, data: Buffer.from('x') }])], 'sparse'],
    ['a sparse file in PAX', [file('s', 'x', { pax: { 'GNU.sparse.major': '1' } })], 'sparse'],
    ['a size that is no number', [file('a', 'x', { pax: { size: '1e3' } })], 'size'],
    ['a size beyond all numbers', [file('a', 'x', { pax: { size: '99999999999999999' } })], 'size'],
    ['a size beyond the end', [file('a', 'x', { pax: { size: '1000000' } })], 'ends in the middle of a'],
    ['an extended header beyond measure', [other('x', 'x', { data: 'x'.repeat(2 << 20) })], 'extended header'],
    ['a PAX record with a wrong length', [other('x', 'x', { data: '99 path=a\n' })], 'extended header'],
    ['a PAX record without an end', [other('x', 'x', { data: '10 path=abc' })], 'extended header'],
    ['a PAX record of length nought', [other('x', 'x', { data: '0 path=a\n' })], 'extended header'],
    ['one name for all its members', [other('g', 'g', { data: '10 path=a\n' }), file('b')], 'one name'],
    ['half a header at the end', new Uint8Array(300).fill(0x41), 'middle of a header'],
  ]
  test.each(hostile)('refuses an archive with %s', async (_, entries, message) => {
    const tar = Array.isArray(entries) ? writeTar(entries) : entries
    await expect(lookUp(tar, 'a')).rejects.toThrow(message)
    await expect(lookUp(tar, 'a')).rejects.toThrow(TarError)
  })

  test('refuses an archive cut short anywhere but between two members', async () => {
    const tar = writeTar([file('a', 'x'.repeat(700)), file('b', 'y'.repeat(10))])
    const boundaries = new Set([0, 512 + 1024, 512 + 1024 + 512 + 512])
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: tar.length }), async (cut) => {
        const outcome = await lookUp(tar.subarray(0, cut), 'a', 'b').then(
          () => 'read',
          (error: unknown) => (error instanceof TarError ? 'refused' : error),
        )
        // Within a member's own content nothing may be missing; its padding may.
        const content = (cut >= 512 + 700 && cut < 1536) || (cut >= 2048 + 10 && cut < 2560)
        const whole = boundaries.has(cut) || content || cut >= 3072
        expect(outcome, `cut at ${cut}`).toBe(whole ? 'read' : 'refused')
      }),
      { numRuns: 300 },
    )
  })

  test('survives any damage: it reads, or says what is wrong', async () => {
    const tar = writeTar([
      dir('d'),
      file('a', 'content', { format: 'gnu' }),
      file('p'.repeat(150), 'x'),
      symlink('l', 'a'),
    ])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(tar.length - 1), fc.nat(255)), { maxLength: 8 }), async (changes) => {
        const damaged = tar.slice()
        for (const [place, byte] of changes) damaged[place] = byte
        const outcome = await lookUp(damaged, 'a', 'd', 'l').then(
          () => 'fine',
          (error: unknown) => (error instanceof TarError ? 'fine' : error),
        )
        expect(outcome).toBe('fine')
      }),
      { numRuns: 300 },
    )
  })
})
