/** The verified diff ID of a compressed layer. */
import { asyncHash } from '#core-module'
import { decompress } from './decompress.ts'
import { hexOf } from './hash.ts'
import type { Bytes, DecompressOptions } from './options.ts'

/**
 * The diff ID of a compressed layer: the SHA-256 of its uncompressed bytes (OCI image specification, "Layer DiffID"), with all
 * checksums of its format verified; and how many bytes those are.
 * Errors: those of `decompress`.
 */
export async function diffID(source: Bytes, options: DecompressOptions): Promise<{ diffID: string; size: number }> {
  const hash = asyncHash()
  let size = 0
  for await (const view of decompress(source, options)) {
    size += view.length
    const waiting = hash.update(view)
    if (waiting !== undefined) await waiting
  }
  return { diffID: `sha256:${hexOf(await hash.digest())}`, size }
}
