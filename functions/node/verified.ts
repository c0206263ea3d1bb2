/** Checks a blob's bytes against its descriptor while they are read. */
import { createHash } from 'node:crypto'
import { LayercastError } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { digestAlgorithm } from '../image/digest.ts'
import type { Range } from './ports.ts'

/**
 * The same chunks, with digest and size checked: DIGEST_MISMATCH at the first byte beyond the size, or at the end. Only a reader that
 * has come to the end without an error knows that it has read the blob.
 */
export async function* verified(
  data: AsyncIterable<Uint8Array>,
  expected: Pick<Descriptor, 'digest' | 'size'>,
): AsyncGenerator<Uint8Array> {
  const { digest, size } = expected
  const algorithm = digestAlgorithm(digest)
  const hash = createHash(algorithm)
  let read = 0
  for await (const chunk of data) {
    read += chunk.length
    if (read > size) throw mismatch(expected, `has more than the ${size} bytes that it should have`, { read })
    hash.update(chunk)
    yield chunk
  }
  if (read < size) throw mismatch(expected, `ended after ${read} of ${size} bytes`, { read })
  const actual = `${algorithm}:${hash.digest('hex')}`
  if (actual !== digest) throw mismatch(expected, `has digest ${actual}`, { actual })
}

function mismatch(
  expected: Pick<Descriptor, 'digest' | 'size'>,
  what: string,
  detail: Record<string, unknown>,
): LayercastError {
  const { digest, size } = expected
  return new LayercastError('DIGEST_MISMATCH', `the content given for blob ${digest} ${what}`, {
    fix: 'Fetch the blob again, from another source if it stays so: this copy is damaged or not the one named.',
    detail: { digest, size, ...detail },
  })
}

/** As `verified` where the range is the whole blob. A part of a blob cannot be checked. */
export function verifiedUnlessPart(
  data: AsyncIterable<Uint8Array>,
  expected: Pick<Descriptor, 'digest' | 'size'>,
  { offset = 0, length }: Range = {},
): AsyncIterable<Uint8Array> {
  return offset === 0 && (length === undefined || length >= expected.size) ? verified(data, expected) : data
}
