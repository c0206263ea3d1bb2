// CRC-32 as gzip has it (RFC 1952 §8): polynomial 0xEDB88320, bits reflected.
import { CRC_TABLES } from './layout'

let ready: bool = false

/** Eight tables, so that eight bytes are taken at a time: table k holds each byte's remainder k bytes further on. */
function prepare(): void {
  for (let i: u32 = 0; i < 256; i++) {
    let c = i
    for (let k = 0; k < 8; k++) c = (c >> 1) ^ (0xedb88320 & (0 - (c & 1)))
    store<u32>(CRC_TABLES + (<usize>i << 2), c)
  }
  for (let i: usize = 256; i < 2048; i++) {
    const c = load<u32>(CRC_TABLES + ((i - 256) << 2))
    store<u32>(CRC_TABLES + (i << 2), (c >> 8) ^ load<u32>(CRC_TABLES + (<usize>(c & 0xff) << 2)))
  }
  ready = true
}

// @ts-ignore: decorator
@inline
function entry(table: usize, byte: u32): u32 {
  return load<u32>(CRC_TABLES + (table << 10) + (<usize>(byte & 0xff) << 2))
}

/** The CRC of what gave `crc` (0 for nothing) followed by `length` bytes at `from`. */
export function crc32(crc: u32, from: usize, length: usize): u32 {
  if (!ready) prepare()
  let c = ~crc
  const end = from + length
  while (from + 8 <= end) {
    const low = c ^ load<u32>(from)
    const high = load<u32>(from, 4)
    c = entry(7, low) ^ entry(6, low >> 8) ^ entry(5, low >> 16) ^ entry(4, low >> 24)
      ^ entry(3, high) ^ entry(2, high >> 8) ^ entry(1, high >> 16) ^ entry(0, high >> 24)
    from += 8
  }
  while (from < end) {
    c = (c >> 8) ^ entry(0, c ^ load<u8>(from))
    from++
  }
  return ~c
}
