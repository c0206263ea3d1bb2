import { hasCode, LayercastError } from '../../../errors.ts'
import type { Descriptor } from '../../../image/descriptor.ts'
import type { Range } from '../../../node/ports.ts'
import { readBlob } from './blob.ts'
import type { Repository } from './repository.ts'

// After these the next host is asked. What is wrong with this machine's own files is wrong for all of them.
const PASSED_ON = [
  'IMAGE_NOT_FOUND',
  'BLOB_NOT_FOUND',
  'REGISTRY_UNREACHABLE',
  'REGISTRY_FAILED',
  'DIGEST_MISMATCH',
  'DOCUMENT_TOO_LARGE',
] as const

/**
 * What the first of several hosts gives. Where none does, the first failure that says more than that something is not
 * there.
 */
export async function firstOf<T>(hosts: readonly Repository[], ask: (host: Repository) => Promise<T>): Promise<T> {
  const failures: unknown[] = []
  for (const host of hosts) {
    try {
      return await ask(host)
    } catch (error) {
      if (!hasCode(error, ...PASSED_ON)) throw error
      failures.push(error)
    }
  }
  throw worst(failures)
}

/** A blob's bytes from the first host that gives them; the next goes on where one leaves off. Not checked here. */
export async function* readFromFirst(
  hosts: readonly Repository[],
  descriptor: Descriptor,
  { offset = 0, length }: Range,
): AsyncGenerator<Uint8Array> {
  let at = offset
  const failures: unknown[] = []
  for (const host of hosts) {
    try {
      const left = length === undefined ? {} : { length: offset + length - at }
      for await (const chunk of readBlob(host, descriptor, { offset: at, ...left })) {
        at += chunk.length
        yield chunk
      }
      return
    } catch (error) {
      if (!hasCode(error, ...PASSED_ON)) throw error
      failures.push(error)
    }
  }
  throw worst(failures)
}

function worst(failures: readonly unknown[]): unknown {
  const found = failures.find((error) => !hasCode(error, 'IMAGE_NOT_FOUND', 'BLOB_NOT_FOUND')) ?? failures[0]
  if (found !== undefined) return found
  return new LayercastError('REGISTRY_FAILED', 'hosts.toml names no host that may be asked for this', {
    fix: 'Give one of its hosts the capabilities "pull" and "resolve", or remove its list of capabilities.',
  })
}
