import { LayercastError } from '../../errors.ts'
import { blobFix } from '../../image/blob-fixes.ts'
import type { Digest } from '../../image/digest.ts'

/** What there is to say of missing blobs besides their names. */
interface NotFoundOptions {
  why?: string
  /** Why ways that were named do not help, in words, and the errors among those reasons. */
  problems?: readonly string[]
  causes?: readonly unknown[]
  /** What is to be done about those. */
  fixes?: readonly string[]
}

/** BLOB_NOT_FOUND for everything that is missing, named in one error. */
export function blobsNotFound(digests: readonly Digest[], options: NotFoundOptions = {}): LayercastError {
  const { why, problems = [], causes = [], fixes = [] } = options
  const names = [...new Set(digests)]
  const what = names.length === 1 ? `blob ${names[0]} is` : `${names.length} blobs are`
  const list = names.length === 1 ? '' : `: ${names.join(', ')}`
  const said = `${what} not in the content store${why ? ` (${why})` : ''}${list}`
  return new LayercastError('BLOB_NOT_FOUND', [said, ...problems].join('; '), {
    fix: blobFix(fixes),
    ...(causes.length > 0 && { cause: causes.length === 1 ? causes[0] : new AggregateError(causes, 'no way helps') }),
    detail: { digests: names, ...(problems.length > 0 && { problems }) },
  })
}
