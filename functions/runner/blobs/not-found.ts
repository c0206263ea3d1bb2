/** The error for missing blobs. */
import { LayercastError } from '../../errors.ts'
import { blobFix } from '../../image/blob-fixes.ts'
import type { Digest } from '../../image/digest.ts'
import type { Complaints } from './types.ts'

/** What is said of missing blobs besides their digests. */
interface NotFoundOptions extends Partial<Complaints> {
  /** Follows in brackets. */
  why?: string | undefined
}

/** BLOB_NOT_FOUND that names all missing blobs at once. */
export function blobsNotFound(digests: readonly Digest[], options: NotFoundOptions = {}): LayercastError {
  const { why, problems = [], causes = [], fixes = [] } = options
  const names = [...new Set(digests)]
  const what = names.length === 1 ? `blob ${names[0]} is` : `${names.length} blobs are`
  const list = names.length === 1 ? '' : `: ${names.join(', ')}`
  const said = `${what} not in the content store${why ? ` (${why})` : ''}${list}`
  return new LayercastError('BLOB_NOT_FOUND', [said, ...problems].join('; '), {
    fix: blobFix(fixes),
    cause: causes.length > 1 ? new AggregateError(causes, 'no blob provider helps') : causes[0],
    detail: { digests: names, ...(problems.length > 0 && { problems }) },
  })
}
