import { expect } from 'vitest'
import { LayercastError } from '../../functions/errors.ts'

/** The error that a call throws; the test fails when it throws none, or one of no family, or one without a fix. */
export function thrown(call: () => unknown): LayercastError {
  try {
    call()
  } catch (error) {
    return checked(error)
  }
  throw new Error('nothing was thrown')
}

/** The same for a promise. */
export async function rejected(promise: Promise<unknown>): Promise<LayercastError> {
  try {
    await promise
  } catch (error) {
    return checked(error)
  }
  throw new Error('nothing was thrown')
}

/** Runs a call that may throw, but nothing other than a LayercastError. */
export function tolerated<T>(call: () => T): T | LayercastError {
  try {
    return call()
  } catch (error) {
    return checked(error)
  }
}

function checked(error: unknown): LayercastError {
  if (!(error instanceof LayercastError)) throw error
  expect(error).toHaveProperty('fix', expect.any(String))
  return error
}
