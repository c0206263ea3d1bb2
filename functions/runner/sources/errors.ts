/** The errors of sources. */
import { LayercastError } from '../../errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'

/**
 * SOURCE_INVALID: what is there is not an image source of this kind.
 * @param problem in words that follow `what`
 */
export function invalid(what: string, problem: string, fix?: string, cause?: unknown): LayercastError {
  return new LayercastError('SOURCE_INVALID', `${what} ${problem}`, {
    fix: fix ?? 'Check how it was made, for instance with `skopeo inspect`, and make it again.',
    detail: { source: what },
    cause,
  })
}

/** FILE_NOT_FOUND, or SYSTEM_CALL_FAILED for any other error of the file system, for a path that the user gave. */
export function unreadable(path: string, cause: unknown): LayercastError {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new LayercastError('FILE_NOT_FOUND', `there is no ${path}`, {
      cause,
      fix: 'Check the path. What comes after the first colon in it is taken for a tag.',
      detail: { path },
    })
  }
  return new LayercastError('SYSTEM_CALL_FAILED', `${path} cannot be read: ${message}`, {
    cause,
    fix: 'Check that this user may read it.',
    detail: { path },
  })
}

/** BLOB_NOT_FOUND for a blob that a source does not have. */
export function blobNotFound(
  what: string,
  { digest, mediaType }: Pick<Descriptor, 'digest' | 'mediaType'>,
): LayercastError {
  return new LayercastError('BLOB_NOT_FOUND', `blob ${digest} (${mediaType}) is not in ${what}`, {
    fix: 'Make the source again with all blobs in it, or name another source for the image.',
    detail: { digest, source: what },
  })
}
