/** Finds blobs that a content store lists and whose bytes are missing or damaged. */
import { createHash } from 'node:crypto'
import { hasCode } from '../errors.ts'
import type { Descriptor } from '../image/descriptor.ts'
import { digestAlgorithm, type Digest } from '../image/digest.ts'
import { checkAborted } from '../kit/abort.ts'
import { infoOrNone } from './or-none.ts'
import type { ContentStore } from './ports.ts'

/**
 * Whether the store lists the blob and has its last byte. By reading one byte this finds a file that is gone, empty or truncated, but
 * not one with altered bytes.
 */
export async function hasBytes(content: Pick<ContentStore, 'info' | 'read'>, digest: Digest): Promise<boolean> {
  const info = await infoOrNone(content, digest)
  return info !== undefined && (await hasLastByte(content, info))
}

/** The same of a blob whose information is at hand. */
export async function hasLastByte(
  content: Pick<ContentStore, 'read'>,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
): Promise<boolean> {
  if (size === 0) return true
  try {
    for await (const chunk of content.read(digest, { offset: size - 1, length: 1 })) {
      if (chunk.length > 0) return true
    }
    return false
  } catch (error) {
    if (unreadable(error) !== undefined) return false
    throw error
  }
}

/**
 * What is wrong with a blob that the store lists, in words that follow "blob DIGEST"; undefined where its bytes are what the
 * digest says, whatever size somebody states. Reads the whole blob. A store that does not answer is thrown, and so is ABORTED.
 * @param onChunk gets the bytes as they are read
 */
export async function faultOf(
  content: Pick<ContentStore, 'read'>,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  signal?: AbortSignal,
  onChunk?: (chunk: Uint8Array) => void,
): Promise<string | undefined> {
  const algorithm = digestAlgorithm(digest)
  const hash = createHash(algorithm)
  let read = 0
  try {
    for await (const chunk of content.read(digest)) {
      if (signal) checkAborted(signal)
      read += chunk.length
      hash.update(chunk)
      onChunk?.(chunk)
    }
  } catch (error) {
    const why = unreadable(error)
    if (why === undefined) throw error
    return why
  }
  const actual = `${algorithm}:${hash.digest('hex')}`
  if (actual === digest) return undefined
  return read === size ? `has the digest ${actual}` : `has ${read} of ${size} bytes`
}

/** Why a blob cannot be read, if the reason is the blob itself, and not the connection to the store. */
function unreadable(error: unknown): string | undefined {
  if (hasCode(error, 'BLOB_NOT_FOUND')) return 'has lost its bytes'
  const isAnswer = hasCode(error, 'CONTAINERD_FAILED') && error.detail['grpc'] !== 'Unavailable'
  const isDisk = error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'EISDIR')
  return isAnswer || isDisk ? `cannot be read: ${error.message}` : undefined
}
