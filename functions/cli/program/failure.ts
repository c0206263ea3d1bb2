/** An error as the user meets it on stderr. */

import { LayercastError } from '../../errors.ts'
import { systemFailure } from '../../linux/failure.ts'
import { printable } from './text.ts'

/** Any error as a LayercastError. One that is neither ours nor a system call's is INTERNAL: a fault of the program. */
export function asLayercastError(error: unknown): LayercastError {
  if (error instanceof LayercastError) return error
  const refused = systemFailure(error)
  if (refused !== undefined) return refused
  const message = error instanceof Error ? error.message : String(error)
  return new LayercastError('INTERNAL', message, {
    cause: error,
    fix: 'This is a fault in layercast: run it again with --verbose and report what it prints.',
  })
}

/** An error as JSON has it, on stderr and inside a report. */
export function errorData({ code, message, fix, detail, exit }: LayercastError): object {
  return { code, message, fix, detail, exit }
}

export interface RenderOptions {
  json: boolean
  verbose: boolean
  /** The exit status; the error's own if absent. */
  exit?: number
}

/** An error with its fix as text, or as one line of JSON. Ends in a newline. */
export function renderError(error: LayercastError, { json, verbose, exit = error.exit }: RenderOptions): string {
  if (json) {
    return `${JSON.stringify({ error: { ...errorData(error), exit } }, jsonSafe)}\n`
  }
  const lines = [`layercast: ${printable(error.message).replaceAll('\n', '\n  ')} (${error.code})`]
  if (error.fix !== undefined) lines.push(`  fix: ${printable(error.fix)}`)
  if (verbose) {
    for (const [key, value] of Object.entries(error.detail)) {
      lines.push(
        `  ${printable(key)}: ${printable(typeof value === 'string' ? value : JSON.stringify(value, jsonSafe))}`,
      )
    }
    for (const cause of causes(error)) lines.push(`  because: ${printable(cause)}`)
  }
  return `${lines.join('\n')}\n`
}

function causes(error: Error): string[] {
  const found: string[] = []
  let cause = error.cause
  while (cause !== undefined && cause !== null && found.length < 10) {
    found.push(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause))
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return found
}

function jsonSafe(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
