/** Asks the hosts of a registry in order: its mirrors, and then the registry itself. */
import { hasCode, LayercastError } from '../../../errors.ts'
import type { Descriptor } from '../../../image/descriptor.ts'
import type { Range } from '../../../node/ports.ts'
import { readRemoteBlob } from './blob.ts'
import type { Repository } from './repository.ts'

// Errors of one host. Other errors, such as those of a file on this machine, are the same for every host.
const ERRORS_OF_ONE_HOST = [
  'IMAGE_NOT_FOUND',
  'BLOB_NOT_FOUND',
  'REGISTRY_UNREACHABLE',
  'REGISTRY_FAILED',
  'DIGEST_MISMATCH',
  'DOCUMENT_TOO_LARGE',
] as const

/**
 * The answer of the first host that has one. Where none has, throws the first error that says more than "not found"; else the
 * first error.
 */
export async function firstOf<T>(hosts: readonly Repository[], ask: (host: Repository) => Promise<T>): Promise<T> {
  const failures: unknown[] = []
  for (const host of hosts) {
    try {
      return await ask(host)
    } catch (error) {
      if (!hasCode(error, ...ERRORS_OF_ONE_HOST)) throw error
      failures.push(error)
    }
  }
  throw worst(failures)
}

/** A blob's bytes from the first host that gives them; the next host continues where it fails. The caller checks the digest. */
export async function* readFromFirst(
  hosts: readonly Repository[],
  descriptor: Descriptor,
  { offset = 0, length }: Range,
): AsyncGenerator<Uint8Array> {
  let at = offset
  const failures: unknown[] = []
  for (const host of hosts) {
    try {
      const left = length === undefined ? undefined : offset + length - at
      for await (const chunk of readRemoteBlob(host, descriptor, { offset: at, length: left })) {
        at += chunk.length
        yield chunk
      }
      return
    } catch (error) {
      if (!hasCode(error, ...ERRORS_OF_ONE_HOST)) throw error
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
