// Blocks (RFC 8878 §3.1.1.2 and .3): literals section, then sequences section.
import { LITERALS } from '../layout'
import { CONTINUE, ZSTD_HUFFMAN, ZSTD_LITERALS } from '../status'
import { decodeFourStreams, decodeStream, readHuffman } from './huffman'
import { sequences } from './sequences'

/** Whether an earlier block of the frame left a Huffman code that this one may use again. */
let huffmanKept: bool = false

export function blocksReset(): void {
  huffmanKept = false
}

/** Decodes a compressed block, input from `from` to `to`, into the window, whose end for this block is `limit`. */
export function compressedBlock(from: usize, to: usize, blockMax: usize, limit: usize): i32 {
  if (from >= to) return ZSTD_LITERALS
  const header = load<u32>(from)
  const type = header & 3
  const format = (header >> 2) & 3
  let literals = LITERALS
  let size: usize

  if (type < 2) {
    // Raw or one byte repeated: sizes of 5, 12 or 20 bits.
    const headerBytes: usize = format == 1 ? 2 : format == 3 ? 3 : 1
    if (to - from < headerBytes + type) return ZSTD_LITERALS
    size = format == 1 ? (header >> 4) & 0xfff : format == 3 ? (header >> 4) & 0xfffff : (header >> 3) & 31
    from += headerBytes
    if (size > blockMax) return ZSTD_LITERALS
    if (type == 0) {
      if (size > to - from) return ZSTD_LITERALS
      literals = from
      from += size
    } else {
      memory.fill(LITERALS, load<u8>(from), size)
      from++
    }
    return sequences(from, to, literals, literals + size, limit)
  }

  // Compressed: two sizes of 10, 14 or 18 bits.
  const headerBytes: usize = format < 2 ? 3 : <usize>format + 2
  if (to - from < headerBytes) return ZSTD_LITERALS
  const sizes = load<u64>(from) >> 4
  const width: u64 = format < 2 ? 10 : format == 2 ? 14 : 18
  const mask = (<u64>1 << width) - 1
  size = <usize>(sizes & mask)
  const compressed = <usize>((sizes >> width) & mask)
  from += headerBytes
  if (size > blockMax || compressed > to - from) return ZSTD_LITERALS
  const end = from + compressed

  if (type == 2) {
    from = readHuffman(from, end)
    if (!from) return ZSTD_HUFFMAN
    huffmanKept = true
  } else if (!huffmanKept) {
    return ZSTD_HUFFMAN
  }
  if (format && size < 6) return ZSTD_LITERALS
  const result = format ? decodeFourStreams(from, end, LITERALS, size) : decodeStream(from, end, LITERALS, size)
  if (result != CONTINUE) return result
  return sequences(end, to, LITERALS, LITERALS + size, limit)
}
