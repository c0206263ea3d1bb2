import type { Digest } from '../../image/digest.ts'
import { hasCode } from '../../image/errors.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Backend } from '../ports.ts'
import { blobsNotFound } from './context.ts'
import { retry } from './retry.ts'
import type { Emit, Provide } from './types.ts'

export interface SupplyOptions {
  /** Under the lease. */
  backend: Backend
  provide: Provide | undefined
  /** How many blobs are fetched at once. */
  concurrency: number
  signal: AbortSignal
  emit: Emit
}

/** Sees to it that a layer's blob is there when its turn comes. */
export interface Supply {
  /** Begins to fetch these, in this order, ahead of their turn. */
  ahead(layers: readonly Descriptor[]): void
  /** Returns once the blob is in the content store. BLOB_NOT_FOUND where it is not and nothing provides it. */
  ensure(layer: Descriptor): Promise<void>
  /** Stops what is under way and waits for its end. */
  close(): Promise<void>
}

/** A supply over the content store and, for what is missing there, `provide`. Each blob is fetched once. */
export function createSupply({ backend, provide, concurrency, signal, emit }: SupplyOptions): Supply {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const started = new Map<Digest, Promise<void>>()
  const waiting: (() => void)[] = []
  let running = 0

  async function slot(): Promise<void> {
    if (running < concurrency) running++
    else await new Promise<void>((resolve) => waiting.push(resolve))
  }

  function free(): void {
    const next = waiting.shift()
    if (next) next()
    else running--
  }

  async function fetchOne(layer: Descriptor, from: Provide): Promise<void> {
    await slot()
    try {
      await retry(() => from(layer, backend, either), { what: `fetch ${layer.digest}`, signal: either, emit })
    } finally {
      free()
    }
  }

  function begin(layer: Descriptor, from: Provide): Promise<void> {
    const under = started.get(layer.digest)
    if (under) return under
    const fetching = fetchOne(layer, from)
    started.set(layer.digest, fetching)
    // Whoever needs the blob meets the error at its turn; until then nobody awaits it, which must not end the process.
    fetching.catch(() => started.delete(layer.digest))
    return fetching
  }

  return {
    ahead(layers) {
      if (provide) for (const layer of layers) void begin(layer, provide)
    },
    async ensure(layer) {
      const under = started.get(layer.digest)
      if (under) return under
      if (await hasBlob(backend, layer.digest)) return
      if (!provide) throw blobsNotFound([layer.digest], 'the snapshotter did not take the layer, so it is needed')
      await begin(layer, provide)
    },
    async close() {
      stop.abort(new Error('the unpack has ended'))
      await Promise.allSettled(started.values())
    },
  }
}

/** Whether the content store has the blob. */
export async function hasBlob(backend: Backend, digest: Digest): Promise<boolean> {
  try {
    await backend.content.info(digest)
    return true
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return false
    throw error
  }
}
