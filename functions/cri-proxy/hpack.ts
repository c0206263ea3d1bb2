/**
 * Reading header blocks (HPACK, RFC 7541) that pass by. One decoder follows one direction of one connection: each block changes
 * the table that later blocks refer to, so every block must be shown to it, in order.
 */
import { LayercastError } from '../errors.ts'
import { decodeHuffman } from './huffman.ts'

/** The fields of a block by name; of several fields of one name the last. */
export type Fields = ReadonlyMap<string, string>

/** RFC 7541, Appendix A, from index 1. */
const STATIC_TABLE: readonly (readonly [name: string, value: string])[] = (
  ':authority;:method=GET;:method=POST;:path=/;:path=/index.html;:scheme=http;:scheme=https;:status=200;:status=204;:status=206;' +
  ':status=304;:status=400;:status=404;:status=500;accept-charset;accept-encoding=gzip, deflate;accept-language;accept-ranges;' +
  'accept;access-control-allow-origin;age;allow;authorization;cache-control;content-disposition;content-encoding;' +
  'content-language;content-length;content-location;content-range;content-type;cookie;date;etag;expect;expires;from;host;' +
  'if-match;if-modified-since;if-none-match;if-range;if-unmodified-since;last-modified;link;location;max-forwards;' +
  'proxy-authenticate;proxy-authorization;range;referer;refresh;retry-after;server;set-cookie;strict-transport-security;' +
  'transfer-encoding;user-agent;vary;via;www-authenticate'
)
  .split(';')
  .map((entry) => {
    const [name = '', value = ''] = entry.split('=')
    return [name, value]
  })

/** What an entry of the table counts besides its name and value (RFC 7541, section 4.1), in bytes. */
const ENTRY_BYTES = 32
/** The table's size until a peer says another, in bytes (RFC 9113, section 6.5.2). */
const DEFAULT_TABLE_BYTES = 4096
/** No more than this is kept for a peer that asks for a larger table. */
const MOST_TABLE_BYTES = 1024 * 1024

export class HpackDecoder {
  /** The newest entry first. */
  #table: (readonly [name: string, value: string])[] = []
  #size = 0
  #limit = DEFAULT_TABLE_BYTES
  #bytes: Uint8Array = new Uint8Array()
  #at = 0

  /** Decodes a whole block. REQUEST_INVALID for what is none; the connection cannot be followed from then on. */
  decode(block: Uint8Array): Fields {
    this.#bytes = block
    this.#at = 0
    const fields = new Map<string, string>()
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0
      // Section 6: the leading bits say which of five forms follows.
      if (first >= 0x80) {
        const [name, value] = this.#entry(this.#integer(7))
        fields.set(name, value)
      } else if (first >= 0x40) {
        const entry = this.#literal(6)
        this.#add(entry)
        fields.set(...entry)
      } else if (first >= 0x20) this.#resize(this.#integer(5))
      else fields.set(...this.#literal(4))
    }
    return fields
  }

  #literal(prefix: number): [name: string, value: string] {
    const index = this.#integer(prefix)
    const name = index === 0 ? this.#string() : this.#entry(index)[0]
    return [name, this.#string()]
  }

  #entry(index: number): readonly [name: string, value: string] {
    const entry = index <= STATIC_TABLE.length ? STATIC_TABLE[index - 1] : this.#table[index - STATIC_TABLE.length - 1]
    if (entry === undefined) throw broken(`names entry ${index}, which the table has not`)
    return entry
  }

  #add(entry: readonly [name: string, value: string]): void {
    this.#table.unshift(entry)
    this.#size += sizeOf(entry)
    this.#evict()
  }

  #resize(limit: number): void {
    if (limit > MOST_TABLE_BYTES) throw broken(`asks for a table of ${limit} bytes`)
    this.#limit = limit
    this.#evict()
  }

  #evict(): void {
    while (this.#size > this.#limit) {
      const oldest = this.#table.pop()
      if (oldest === undefined) return
      this.#size -= sizeOf(oldest)
    }
  }

  /** Section 5.1. */
  #integer(prefix: number): number {
    const most = 2 ** prefix - 1
    let value = this.#byte() & most
    if (value < most) return value
    for (let shift = 0; ; shift += 7) {
      if (shift > 28) throw broken('holds a number that is too large')
      const byte = this.#byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }

  /** Section 5.2. */
  #string(): string {
    const isCoded = (this.#bytes[this.#at] ?? 0) >= 0x80
    const length = this.#integer(7)
    const end = this.#at + length
    if (end > this.#bytes.length) throw broken('ends within a string')
    const bytes = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return isCoded ? decodeHuffman(bytes) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw broken('ends too early')
    return byte
  }
}

function sizeOf([name, value]: readonly [name: string, value: string]): number {
  return name.length + value.length + ENTRY_BYTES
}

function broken(how: string): LayercastError {
  return new LayercastError('REQUEST_INVALID', `a header block ${how}`)
}

/** Codes fields so that no table changes: each a literal that is never indexed (section 6.2.3), its text as it stands. */
export function encodeLiterals(fields: readonly (readonly [name: string, value: string])[]): Uint8Array {
  const parts = fields.flatMap(([name, value]) => [Buffer.from([0x10]), ...plain(name), ...plain(value)])
  return Buffer.concat(parts)
}

function plain(text: string): Uint8Array[] {
  const bytes = Buffer.from(text, 'latin1')
  return [Buffer.from(integer(bytes.length, 7)), bytes]
}

function integer(value: number, prefix: number): number[] {
  const most = 2 ** prefix - 1
  if (value < most) return [value]
  const bytes = [most]
  let rest = value - most
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  return [...bytes, rest]
}
