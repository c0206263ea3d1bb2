/** Sparse maps of GNU tar: where in a file the archive's data goes. Between is nothing but zeros. */
import { paxNumber } from './pax.ts'
import type { PaxRecords } from './pax.ts'
import { corrupt, readNumber } from './tar-header.ts'
import { MAX_SPECIAL } from './tar-member.ts'

export interface Fragment {
  offset: number
  length: number
}

/** Which version of the PAX sparse format the records name: none for a file that is not sparse. */
export function sparseVersion(records: PaxRecords): '0.1' | '1.0' | undefined {
  const major = records.get('GNU.sparse.major') ?? ''
  const minor = records.get('GNU.sparse.minor') ?? ''
  if (major === '1' && minor === '0') return '1.0'
  if (major === '0' && (minor === '0' || minor === '1')) return '0.1'
  if (major !== '' || minor !== '') return undefined
  return (records.get('GNU.sparse.map') ?? '') === '' ? undefined : '0.1'
}

/** The map of versions 0.0 and 0.1, which is in the records. */
export function mapFromRecords(records: PaxRecords): Fragment[] {
  const count = paxNumber(records.get('GNU.sparse.numblocks') ?? '', 'sparse count')
  const text = records.get('GNU.sparse.map') ?? ''
  const numbers = text === '' ? [] : text.split(',')
  if (count < 0 || numbers.length !== 2 * count) throw corrupt('a sparse map has not as many fragments as it says')
  return pairs(numbers)
}

/** Reads the map of version 1.0, which precedes the data of its file in whole blocks. */
export class SparseMapReader {
  readonly #blocks: Buffer[] = []
  #size = 0
  #lines = 0
  #count: number | undefined

  /** Takes the next block; gives the map with the last of them. LAYER_CORRUPT. */
  add(block: Buffer): Fragment[] | undefined {
    this.#blocks.push(Buffer.from(block))
    this.#size += block.length
    if (this.#size > MAX_SPECIAL) throw corrupt('a sparse map is too long')
    for (const byte of block) if (byte === 0x0a) this.#lines++
    if (this.#lines === 0) return undefined
    this.#count ??= this.#readCount()
    if (this.#lines < 1 + 2 * this.#count) return undefined
    return pairs(
      this.#text()
        .split('\n', 1 + 2 * this.#count)
        .slice(1),
    )
  }

  #readCount(): number {
    const count = paxNumber(this.#text().split('\n', 1)[0] ?? '', 'sparse count')
    if (count < 0) throw corrupt('a sparse map has a negative count')
    return count
  }

  #text(): string {
    return Buffer.concat(this.#blocks).toString('latin1')
  }
}

function pairs(numbers: readonly string[]): Fragment[] {
  const map: Fragment[] = []
  for (let index = 0; index < numbers.length; index += 2) {
    map.push({
      offset: paxNumber(numbers[index] ?? '', 'sparse offset'),
      length: paxNumber(numbers[index + 1] ?? '', 'sparse length'),
    })
  }
  return map
}

/** Fragments of the old GNU format: 4 in the header at 386, 21 in each extension block at 0. */
export function mapFromBlock(block: Buffer, start: number, most: number): Fragment[] {
  const map: Fragment[] = []
  for (let index = 0, at = start; index < most && block[at] !== 0; index++, at += 24) {
    map.push({
      offset: readNumber(block, at, 12, 'sparse offset'),
      length: readNumber(block, at + 12, 12, 'sparse length'),
    })
  }
  return map
}

/**
 * Checks a map: in order, without overlap, within the file's size, and with just the data that the archive holds.
 * LAYER_CORRUPT.
 */
export function checkMap(map: readonly Fragment[], size: number, stored: number): void {
  let end = 0
  let data = 0
  for (const { offset, length } of map) {
    if (offset < end || length < 0 || offset + length > size) throw corrupt('a sparse map is out of order or bounds')
    end = offset + length
    data += length
  }
  if (data !== stored) throw corrupt(`a sparse map tells of ${data} bytes where the archive holds ${stored}`)
}
