import { afterEach, beforeEach, expect } from 'vitest'
import { LayercastError, type Code, type Kind } from '../../../functions/errors.ts'
import type { Backend } from '../../../functions/node/ports.ts'

/** Opens a backend that holds nothing yet: a fresh root, or a fresh namespace. The suites close it. */
export type OpenBackend = () => Promise<Backend>

/** A fresh backend before each test, with a lease that keeps a garbage collector away from what the test makes. */
export function freshBackend(open: OpenBackend): () => Backend {
  let bare: Backend | undefined
  let held: Backend | undefined
  let lease = ''
  beforeEach(async () => {
    bare = await open()
    lease = (await bare.leases.create()).id
    held = bare.withLease(lease)
  })
  afterEach(async () => {
    await bare?.leases.delete(lease)
    await bare?.close()
  })
  return () => {
    if (held === undefined) throw new Error('no test is running')
    return held
  }
}

/** The code with which a promise is refused; a promise that is kept, or an error outside the family, fails the test. */
export async function codeOf(promise: Promise<unknown>): Promise<Code> {
  return (await refusal(promise)).code
}

/** The kind of that code. */
export async function kindOf(promise: Promise<unknown>): Promise<Kind> {
  return (await refusal(promise)).kind
}

async function refusal(promise: Promise<unknown>): Promise<LayercastError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('value' in outcome) return expect.unreachable(`kept with ${JSON.stringify(outcome.value)}`)
  if (!(outcome.error instanceof LayercastError)) throw outcome.error
  return outcome.error
}
