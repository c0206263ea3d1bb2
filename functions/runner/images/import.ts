/** Imports an image of a source into the node's stores: blobs, the labels that keep them, and a name. */
import type { Descriptor } from '../../image/descriptor.ts'
import { parseManifest } from '../../image/manifest.ts'
import { checkAborted } from '../../kit/abort.ts'
import { retry } from '../../kit/retry.ts'
import type { Backend, ImageRecord, Labels } from '../../node/ports.ts'
import { indexGcLabels, manifestGcLabels, sourceLabel } from '../../plan/gc-labels.ts'
import { bare } from '../content/documents.ts'
import { ensureBlob } from '../content/ensure-blob.ts'
import type { OperationEvent } from '../operation/events.ts'
import { underLease } from '../operation/lease.ts'
import { dropLeftBehind } from '../operation/left-behind.ts'
import { isRegistrySpec } from '../sources/spec.ts'
import type { SourceImage } from './inspect.ts'

const BLOBS_AT_ONCE = 3

export type ImportEvent =
  | OperationEvent
  /** `bytes` of `total` have been read; `there` says that the blob was there before, and right. */
  | { type: 'blob'; digest: string; bytes: number; total: number; there: boolean }

export interface ImportOptions {
  backend: Backend
  /** The image of an open source; its reference is the name that it gets. */
  from: SourceImage
  signal: AbortSignal
  onEvent?: ((event: ImportEvent) => void) | undefined
}

/**
 * Imports one platform of an image, children first, with the labels by which containerd's garbage collector keeps them, and
 * names it. Everything is held by a lease until the name is there. Documents that the look at the image has read are not
 * asked for again. BLOB_NOT_FOUND, DIGEST_MISMATCH, REGISTRY_*, ABORTED, CONTAINERD_*.
 */
export async function importImage(options: ImportOptions): Promise<ImageRecord> {
  const { backend, from, signal, onEvent } = options
  const { indexes, manifest, config } = from.documents
  const name = from.image.reference
  const emit = (event: OperationEvent) => {
    onEvent?.(event)
  }
  const parsed = parseManifest(manifest.bytes, manifest.descriptor.mediaType)
  const record = await underLease(backend, { purpose: 'import', signal, emit }, async (leased) => {
    const store = (blob: Descriptor, labels: Labels, bytes?: Uint8Array) =>
      retry(() => storeBlob({ ...options, backend: leased }, { blob, bytes, labels }), {
        what: `import ${blob.digest}`,
        signal,
        emit,
      })
    const unique = [...new Map(parsed.layers.map((layer) => [layer.digest, layer])).values()]
    await eachOf(unique, BLOBS_AT_ONCE, (layer) => store(layer, {}))
    await store(config.descriptor, {}, config.bytes)
    await store(manifest.descriptor, manifestGcLabels(parsed), manifest.bytes)
    let child = manifest.descriptor
    for (const index of indexes.toReversed()) {
      await store(index.descriptor, indexGcLabels([child]), index.bytes)
      child = index.descriptor
    }
    return await retry(() => leased.images.put(name, bare(child)), { what: `name the image ${name}`, signal, emit })
  })
  await dropLeftBehind(backend, emit)
  return record
}

interface BlobToStore {
  blob: Descriptor
  /** Where they have been read. */
  bytes: Uint8Array | undefined
  /** For the garbage collector. */
  labels: Labels
}

async function storeBlob(options: ImportOptions, { blob, bytes, labels }: BlobToStore): Promise<void> {
  const { backend, from, signal, onEvent } = options
  const { source, image } = from
  checkAborted(signal)
  const told = { type: 'blob' as const, digest: blob.digest, total: blob.size }
  const counted = async function* () {
    let done = 0
    for await (const chunk of bytes === undefined ? source.read(blob) : [bytes]) {
      checkAborted(signal)
      yield chunk
      done += chunk.length
      onEvent?.({ ...told, bytes: done, there: false })
    }
  }
  const registry = isRegistrySpec(source.spec) ? (source.reference ?? image.reference) : undefined
  const stored = await ensureBlob({
    content: backend.content,
    expected: blob,
    read: counted,
    labels: (existing) => ({ ...labels, ...(registry !== undefined && sourceLabel(registry, existing)) }),
    signal,
  })
  if (stored === 'there') onEvent?.({ ...told, bytes: blob.size, there: true })
}

/** Does them in order, a few at once; the first failure is thrown when all that had begun are through. */
async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = []
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) {
      if (failures.length > 0) return
      try {
        await work(item)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  if (failures.length > 0) throw failures[0]
}
