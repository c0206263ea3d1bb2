/** The error of a command line that is not right. */

import { LayercastError } from '../../errors.ts'

/** USAGE, with what to write instead. */
export function usage(message: string, fix: string): LayercastError {
  return new LayercastError('USAGE', message, { fix })
}
