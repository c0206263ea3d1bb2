/** The Huffman code of header fields (RFC 7541, Appendix B). */
import { LayercastError } from '../errors.ts'

/**
 * The length of each symbol's code in bits, by symbol, 256 being the end of string. The code is canonical: codes of one length
 * are counted up in the order of their symbols, so the lengths are all that is needed of the table.
 */
const LENGTHS: readonly number[] = expand(
  '13 23 28*7 24 30 28*2 30 28*8 30 28*9 6 10*2 12 13 6 8 11 10*2 8 11 8 6*3 5*3 6*7 7 8 15 6 12 10 13 6 7*22 8 7 8 ' +
    '13 19 13 14 6 15 5 6 5 6 5 6*3 5 7*2 6*3 5 6 7 6 5*2 6 7*5 15 11 14 13 28 20 22 20*2 22*3 23 22 23*5 24 23 24*2 ' +
    '22 23 24 23*4 21 22 23 22 23*2 24 22 21 20 22*2 23*2 21 23 22*2 24 21 22 23*2 21*2 22 21 23 22 23*2 20 22*3 23 ' +
    '22*2 23 26*2 20 19 22 23 22 25 26*3 27*2 26 24 25 19 21 26 27*2 26 27 24 21*2 26*2 28 27*3 20 24 20 21 22 21*2 23 ' +
    '22*2 25*2 24*2 26 23 26 27 26*2 27*5 28 27*5 26 30',
)

const END_OF_STRING = 256
/** The longest padding of a string, in bits; a string may end in fewer than eight ones. */
const MOST_PADDING = 7

function expand(text: string): number[] {
  return text.split(' ').flatMap((part) => {
    const [length = 0, times = 1] = part.split('*').map(Number)
    return Array.from({ length: times }, () => length)
  })
}

/** The code as a binary tree in one array: node n has its children at 2n and 2n+1; leaves are written as -1 - symbol. */
const TREE = growTree()

function growTree(): Int16Array {
  const tree = new Int16Array(2 * LENGTHS.length)
  const symbols = LENGTHS.map((_, symbol) => symbol).toSorted((a, b) => (LENGTHS[a] ?? 0) - (LENGTHS[b] ?? 0) || a - b)
  let nodes = 1
  let code = 0
  let length = 0
  for (const symbol of symbols) {
    const own = LENGTHS[symbol] ?? 0
    code <<= own - length
    length = own
    let node = 0
    for (let bit = length - 1; bit > 0; bit--) {
      const edge = 2 * node + ((code >>> bit) & 1)
      if (tree[edge] === 0) tree[edge] = nodes++
      node = tree[edge] ?? 0
    }
    tree[2 * node + (code & 1)] = -1 - symbol
    code++
  }
  return tree
}

/** Decodes a Huffman-coded string (RFC 7541, section 5.2) to text, a byte a character. REQUEST_INVALID for what is no such string. */
export function decodeHuffman(bytes: Uint8Array): string {
  let text = ''
  let node = 0
  let depth = 0
  let ones = true
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const value = (byte >>> bit) & 1
      const next = TREE[2 * node + value] ?? 0
      if (next < 0) {
        const symbol = -1 - next
        if (symbol === END_OF_STRING) throw broken('holds the end of a string within it')
        text += String.fromCharCode(symbol)
        node = 0
        depth = 0
        ones = true
      } else {
        node = next
        depth++
        ones &&= value === 1
      }
    }
  }
  if (depth > MOST_PADDING || !ones) throw broken('ends within a symbol')
  return text
}

function broken(how: string): LayercastError {
  return new LayercastError('REQUEST_INVALID', `a Huffman-coded header field ${how}`)
}
