import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { device, dir, file, hardlink, other, sparse, symlink, type TarEntry } from '../../support/images/entries.ts'
import { writeTar } from '../../support/images/tar.ts'
import { byName, readArchive } from '../support/archive.ts'
import type { Reading } from '../support/archive.ts'

// containerd reads layers with Go's archive/tar: whatever it accepts or refuses, so must this reader.
const go = spawnSync('go', ['env', 'GOROOT'], { encoding: 'utf8' })
const goroot = go.status === 0 ? go.stdout.trim() : undefined

function readWithGo(archives: readonly Uint8Array[]): Reading[] {
  const input = archives.flatMap((archive) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(archive.length)
    return [length, archive]
  })
  const { stdout, stderr, status } = spawnSync('go', ['run', join(import.meta.dirname, 'peers/gotar.go')], {
    input: Buffer.concat(input),
    maxBuffer: 1 << 28,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(stderr)
  return stdout
    .trim()
    .split('\n')
    .map((line) => normal(JSON.parse(line) as Reading))
}

function normal(reading: Reading): Reading {
  if ('error' in reading) return reading
  // An old GNU sparse file is a plain file here, for who writes it.
  const entries = reading.entries.map((entry) => ({ ...entry, type: entry.type === 'S' ? '0' : entry.type }))
  for (const entry of entries) entry.xattrs.sort(byName)
  return { entries }
}

// What the reader bounds beyond Go: numbers that JavaScript does not hold exactly.
const beyond = (reading: Reading): boolean =>
  'entries' in reading &&
  reading.entries.some((entry) =>
    [entry.mode, entry.uid, entry.gid, entry.major, entry.minor, ...entry.mtime].some((n) => !Number.isSafeInteger(n)),
  )

// How an error is worded is the reader's own.
const outcome = (reading: Reading): Reading | 'refused' => ('error' in reading ? 'refused' : reading)

describe.skipIf(goroot === undefined)('the reader accepts what Go accepts, with the same meaning (needs go)', () => {
  test("Go's own test archives", { timeout: 120_000 }, () => {
    const directory = join(goroot ?? '', 'src/archive/tar/testdata')
    const names = readdirSync(directory).filter((name) => name.endsWith('.tar'))
    // These hold files of gigabytes and more in holes, which nobody should hash.
    const read = names.filter((name) => !/^(writer-big|sparse-.*big|gnu-sparse-big|pax-sparse-big)/.test(name))
    expect(read.length).toBeGreaterThan(30)
    const archives = read.map((name) => readFileSync(join(directory, name)))
    readWithGo(archives).forEach((theirs, index) => {
      const ours = readArchive(archives[index] as Buffer)
      expect.soft({ name: read[index], is: outcome(ours) }).toEqual({ name: read[index], is: outcome(theirs) })
    })
  })

  test('archives damaged at random, checksums put right again', { timeout: 300_000 }, () => {
    const seeds = corpus().map((entries) => writeTar(entries))
    const damage = fc.record({
      seed: fc.nat(seeds.length - 1),
      chunk: fc.integer({ min: 1, max: 2000 }),
      cut: fc.option(fc.nat(20_000), { freq: 6 }),
      edits: fc.array(
        fc.tuple(fc.nat(40), fc.nat(511), fc.oneof(fc.nat(255), fc.constantFrom(0, 32, 48, 55, 128, 255))),
        {
          maxLength: 4,
        },
      ),
    })
    const cases = fc.sample(damage, { numRuns: 3000, seed: 20_260_301 })
    const archives = cases.map(({ seed, edits, cut }) => damaged(seeds[seed] as Uint8Array, edits, cut))
    let refused = 0
    readWithGo(archives).forEach((theirs, index) => {
      if ('error' in theirs) refused++
      const ours = readArchive(archives[index] as Uint8Array, cases[index]?.chunk)
      expect(beyond(theirs) ? 'beyond' : outcome(ours)).toEqual(beyond(theirs) ? 'beyond' : outcome(theirs))
    })
    // Both outcomes must have been met often, or this shows nothing.
    expect(refused).toBeGreaterThan(300)
    expect(archives.length - refused).toBeGreaterThan(300)
  })
})

function corpus(): TarEntry[][] {
  const long = 'n'.repeat(150)
  const sparse10 = `2\n0\n10\n1000\n5\n`.padEnd(512, '\0') + '0123456789abcde'
  return [
    [dir('d', { mtime: 1.5 }), file('d/f', 'x'.repeat(700)), symlink('s', 'd/f'), hardlink('h', 'd/f')],
    [file('p', 'y', { xattrs: { 'user.a': 'b=c', 'user.empty': '' }, pax: { atime: '12.000000001', comment: 'c' } })],
    [file(`${long}/g`, 'z', { format: 'gnu', uid: 3_000_000 }), symlink('gl', long, { format: 'gnu' })],
    [file(`${'u'.repeat(60)}/${'v'.repeat(90)}`, 'z', { format: 'ustar' }), device('dev', 'char', 1, 3)],
    [
      sparse('old', 5000, [
        { offset: 512, data: new Uint8Array(100).fill(65) },
        { offset: 4096, data: new Uint8Array(7) },
      ]),
    ],
    [
      file('a', 'aaabbb', {
        pax: { 'GNU.sparse.map': '0,3,100,3', 'GNU.sparse.numblocks': '2', 'GNU.sparse.size': '200' },
      }),
      file('x', sparse10, {
        pax: {
          'GNU.sparse.major': '1',
          'GNU.sparse.minor': '0',
          'GNU.sparse.name': 'real',
          'GNU.sparse.realsize': '1010',
        },
      }),
    ],
    [
      other('g', 'g', { data: '20 comment=whatever\n' }),
      file('after', 'global'),
      other('l', 'L', { data: 'longer\0' }),
      file('b', ''),
    ],
  ]
}

function damaged(archive: Uint8Array, edits: readonly [number, number, number][], cut: number | null): Uint8Array {
  const copy = Buffer.from(archive)
  for (const [block, offset, value] of edits) {
    const start = (block * 512) % copy.length
    const wasHeader = isHeader(copy, start)
    copy[start + offset] = value
    if (wasHeader && (offset < 148 || offset > 155)) putChecksum(copy, start)
  }
  return cut === null ? copy : copy.subarray(0, cut % copy.length)
}

function sum(block: Buffer, start: number): number {
  let total = 0
  for (let at = 0; at < 512; at++) total += at >= 148 && at < 156 ? 32 : (block[start + at] ?? 0)
  return total
}

function isHeader(archive: Buffer, start: number): boolean {
  return Number.parseInt(archive.toString('latin1', start + 148, start + 154), 8) === sum(archive, start)
}

function putChecksum(archive: Buffer, start: number): void {
  archive.write(`${sum(archive, start).toString(8).padStart(6, '0')}\0 `, start + 148, 'latin1')
}
