/** Hashes the content of each file of a layer as it is read. */
import { createHash, type Hash } from 'node:crypto'
import type { Leaf } from './tree-node.ts'

const ZEROS = Buffer.alloc(1 << 16)

export class ContentHash {
  #file: { leaf: Leaf; hash: Hash; end: number } | undefined

  /** The data of this file follows, then `end`. */
  begin(leaf: Leaf): void {
    this.#file = { leaf, hash: createHash('sha256'), end: 0 }
  }

  /** Bytes of the present file, in order; what no bytes are given for is zeros. */
  data(bytes: Uint8Array, offset: number): void {
    if (this.#file === undefined) return
    hashZeros(this.#file.hash, offset - this.#file.end)
    this.#file.hash.update(bytes)
    this.#file.end = offset + bytes.length
  }

  /** The present file, if there is one, is complete. */
  end(): void {
    if (this.#file === undefined) return
    const { leaf, hash, end } = this.#file
    hashZeros(hash, leaf.size - end)
    leaf.sha256 = hash.digest('hex')
    this.#file = undefined
  }
}

function hashZeros(hash: Hash, length: number): void {
  for (let left = length; left > 0; left -= ZEROS.length) hash.update(ZEROS.subarray(0, Math.min(left, ZEROS.length)))
}
