import { LayercastError } from '../../../../functions/errors.ts'

/** The error that the work ends with; it must be one of the family. */
export async function failure(work: Promise<unknown>): Promise<LayercastError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof LayercastError) return error
  throw new Error('it was to fail with an error of the family', { cause: error })
}
