/**
 * A streaming reader of tar archives. It is pushed: chunks of any size go in, entries and their data come out at the
 * visitor, as views of the chunks, so that nothing is copied. Accepted is what Go's archive/tar accepts, since that is
 * what containerd unpacks; global PAX headers are checked and otherwise ignored, as there.
 */
import { paxNumber } from './pax.ts'
import type { PaxRecords } from './pax.ts'
import { checkMap, mapFromBlock, mapFromRecords, SparseMapReader, sparseVersion } from './sparse.ts'
import type { Fragment } from './sparse.ts'
import { BLOCK, corrupt, isZero, readTarHeader, readNumber } from './tar-header.ts'
import type { RawHeader } from './tar-header.ts'
import { Extensions, hasData, isExtension, MAX_SPECIAL, paddingOf } from './tar-member.ts'
import type { TarHeader } from './tar-member.ts'

export interface TarVisitor {
  entry(header: TarHeader): void
  /** Bytes of the present entry, in order; `offset` is where in the file they go. The view is good for this call only. */
  data(bytes: Uint8Array, offset: number): void
  /** The present entry has no more data. */
  end(): void
}

type State = 'header' | 'special' | 'sparse-extension' | 'sparse-map' | 'data' | 'skip' | 'done'

export class TarReader {
  readonly #visitor: TarVisitor
  #state: State = 'header'
  // What is being collected: a block, or all of an extended header.
  #buffer: Buffer = Buffer.alloc(BLOCK)
  #filled = 0
  #wanted = BLOCK
  // The header blocks that change the next entry.
  #raw: RawHeader | undefined
  readonly #extensions = new Extensions()
  #sawZero = false
  // The present entry: the bytes in the archive still to come, where they go, and the padding after them.
  #header: TarHeader | undefined
  #stored = 0
  #map: Fragment[] = []
  #mapReader = new SparseMapReader()
  #fragment = 0
  #inFragment = 0
  #padding = 0
  #position = 0

  constructor(visitor: TarVisitor) {
    this.#visitor = visitor
  }

  /** Bytes taken so far, for messages. */
  get position(): number {
    return this.#position
  }

  /** Takes the next bytes of the archive. LAYER_CORRUPT, and what the visitor throws. */
  write(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let at = 0
    while (at < chunk.length && this.#state !== 'done') {
      const taken =
        this.#state === 'data'
          ? this.#takeData(chunk, at)
          : this.#state === 'skip'
            ? this.#takePadding(chunk, at)
            : this.#collect(chunk, at)
      at += taken
      this.#position += taken
    }
    this.#position += chunk.length - at
  }

  /** The archive's bytes are all there. LAYER_CORRUPT when they end in the middle of something. */
  finish(): void {
    const between = (this.#state === 'header' && this.#filled === 0) || this.#state === 'skip' || this.#state === 'done'
    if (!between) throw corrupt('the archive is cut short', { offset: this.#position })
  }

  #collect(chunk: Buffer, at: number): number {
    const available = chunk.length - at
    // A whole block in one chunk is read where it lies.
    if (this.#filled === 0 && available >= this.#wanted) {
      const length = this.#wanted
      this.#collected(chunk.subarray(at, at + length))
      return length
    }
    const length = Math.min(this.#wanted - this.#filled, available)
    chunk.copy(this.#buffer, this.#filled, at, at + length)
    this.#filled += length
    if (this.#filled === this.#wanted) {
      this.#filled = 0
      this.#collected(this.#buffer.subarray(0, this.#wanted))
    }
    return length
  }

  #collected(bytes: Buffer): void {
    if (this.#state === 'header') this.#onHeader(bytes)
    else if (this.#state === 'special') this.#onSpecial(bytes)
    else if (this.#state === 'sparse-extension') this.#onSparseExtension(bytes)
    else this.#onSparseMap(bytes)
  }

  #want(state: State, length: number): void {
    this.#state = state
    this.#wanted = length
    if (this.#buffer.length < length) this.#buffer = Buffer.alloc(length)
    if (length === 0) this.#collected(this.#buffer.subarray(0, 0))
  }

  #next(pad: number): void {
    this.#padding = pad
    if (pad === 0) this.#want('header', BLOCK)
    else this.#state = 'skip'
  }

  #onHeader(block: Buffer): void {
    if (isZero(block)) {
      if (this.#sawZero) this.#state = 'done'
      this.#sawZero = true
      return
    }
    if (this.#sawZero) throw corrupt('a header follows a block of zeros', { offset: this.#position })
    const raw = readTarHeader(block)
    this.#raw = raw
    if (raw.size < 0) throw corrupt('an entry has a negative size')
    if (isExtension(raw.type)) {
      if (raw.size > MAX_SPECIAL) throw corrupt(`an extended header has ${raw.size} bytes, more than ${MAX_SPECIAL}`)
      this.#want('special', raw.size)
      return
    }
    this.#onEntry(raw, block)
  }

  #onSpecial(bytes: Buffer): void {
    const { type, size } = this.#raw as RawHeader
    this.#extensions.add(type, bytes)
    this.#next(paddingOf(size))
  }

  #onEntry(raw: RawHeader, block: Buffer): void {
    const { pax } = this.#extensions
    const header = this.#extensions.apply(raw)
    this.#header = header
    this.#stored = hasData(header.type) ? header.size : 0
    if (this.#stored < 0) throw corrupt('an entry has a negative size')
    this.#padding = paddingOf(this.#stored)
    if (header.type === 'S') this.#startOldSparse(raw, block)
    else this.#startSparseOrPlain(pax)
  }

  #startSparseOrPlain(records: PaxRecords): void {
    const header = this.#header as TarHeader
    const version = sparseVersion(records)
    if (version === undefined) {
      this.#begin(undefined)
      return
    }
    if (!hasData(header.type)) throw corrupt('an entry that is no file has a sparse map')
    header.name = records.get('GNU.sparse.name') || header.name
    const size = records.get('GNU.sparse.size') || records.get('GNU.sparse.realsize') || ''
    if (size !== '') header.size = paxNumber(size, 'sparse size')
    if (version === '0.1') this.#begin(mapFromRecords(records))
    else {
      this.#mapReader = new SparseMapReader()
      this.#want('sparse-map', BLOCK)
    }
  }

  #onSparseMap(block: Buffer): void {
    this.#stored -= BLOCK
    if (this.#stored < 0) throw corrupt('a sparse map goes beyond the data of its entry')
    const map = this.#mapReader.add(block)
    if (map !== undefined) this.#begin(map)
  }

  #startOldSparse(raw: RawHeader, block: Buffer): void {
    if (raw.format !== 'gnu') throw corrupt('a sparse entry has no GNU header')
    const header = this.#header as TarHeader
    header.size = readNumber(block, 483, 12, 'real size')
    this.#map = mapFromBlock(block, 386, 4)
    this.#continueOldSparse(block[482] !== 0)
  }

  #onSparseExtension(block: Buffer): void {
    this.#map.push(...mapFromBlock(block, 0, 21))
    if (this.#map.length * 24 > MAX_SPECIAL) throw corrupt('a sparse map is too long')
    this.#continueOldSparse(block[504] !== 0)
  }

  #continueOldSparse(more: boolean): void {
    if (more) this.#want('sparse-extension', BLOCK)
    else {
      ;(this.#header as TarHeader).type = '0'
      this.#begin(this.#map)
    }
  }

  #begin(map: Fragment[] | undefined): void {
    const header = this.#header as TarHeader
    if (map === undefined) this.#map = this.#stored === 0 ? [] : [{ offset: 0, length: this.#stored }]
    else {
      checkMap(map, header.size, this.#stored)
      this.#map = map.filter((fragment) => fragment.length > 0)
    }
    if (!hasData(header.type)) header.size = 0
    this.#fragment = 0
    this.#inFragment = 0
    this.#visitor.entry(header)
    if (this.#stored > 0) this.#state = 'data'
    else this.#endEntry()
  }

  #endEntry(): void {
    this.#visitor.end()
    this.#header = undefined
    this.#next(this.#padding)
  }

  #takeData(chunk: Buffer, at: number): number {
    const { offset, length } = this.#map[this.#fragment] as Fragment
    const taken = Math.min(length - this.#inFragment, chunk.length - at)
    this.#visitor.data(chunk.subarray(at, at + taken), offset + this.#inFragment)
    this.#inFragment += taken
    this.#stored -= taken
    if (this.#inFragment === length) {
      this.#fragment++
      this.#inFragment = 0
    }
    if (this.#stored === 0) this.#endEntry()
    return taken
  }

  #takePadding(chunk: Buffer, at: number): number {
    const taken = Math.min(this.#padding, chunk.length - at)
    this.#padding -= taken
    if (this.#padding === 0) this.#want('header', BLOCK)
    return taken
  }
}
