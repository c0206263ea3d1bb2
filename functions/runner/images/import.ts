import type { Descriptor } from '../../image/descriptor.ts'
import { parseManifest } from '../../image/manifest.ts'
import { checkAborted } from '../../kit/abort.ts'
import { retry } from '../../kit/retry.ts'
import { infoOrNone } from '../../node/or-none.ts'
import type { Backend, ImageRecord, Labels } from '../../node/ports.ts'
import { indexGcLabels, manifestGcLabels, sourceLabel } from '../../plan/gc-labels.ts'
import { bare, type Documents } from '../content/documents.ts'
import { storeWhole } from '../content/store-whole.ts'
import type { OperationEvent } from '../operation/events.ts'
import { underLease } from '../operation/lease.ts'
import { dropLeftBehind } from '../operation/left-behind.ts'
import type { ImageSource } from '../sources/open.ts'

const BLOBS_AT_ONCE = 3

export type ImportEvent =
  | OperationEvent
  /** Bytes come in of `total`; `there` says that the blob was there before, and right. */
  | { type: 'blob'; digest: string; bytes: number; total: number; there: boolean }

export interface ImportOptions {
  backend: Backend
  source: ImageSource
  documents: Documents
  /** The name that the image gets. */
  name: string
  /** The registry reference that the blobs come from, for their distribution.source label. */
  registry?: string
  signal: AbortSignal
  onEvent?: (event: ImportEvent) => void
}

/**
 * Brings one platform of an image into the backend's stores, children first, with the labels by which containerd's
 * garbage collector keeps them, and names it. Everything is held by a lease until the name is there.
 */
export async function importImage(options: ImportOptions): Promise<ImageRecord> {
  const { backend, documents, name, signal, onEvent } = options
  const { indexes, manifest, config } = documents
  const emit = (event: OperationEvent) => {
    onEvent?.(event)
  }
  const parsed = parseManifest(manifest.bytes, manifest.descriptor.mediaType)
  const record = await underLease(backend, { purpose: 'import', signal, emit }, async (leased) => {
    const store = (blob: Descriptor, labels: Labels) =>
      retry(() => storeBlob({ ...options, backend: leased }, blob, labels), {
        what: `import ${blob.digest}`,
        signal,
        emit,
      })
    const unique = [...new Map(parsed.layers.map((layer) => [layer.digest, layer])).values()]
    await eachOf(unique, BLOBS_AT_ONCE, (layer) => store(layer, {}))
    await store(config.descriptor, {})
    await store(manifest.descriptor, manifestGcLabels(parsed))
    let child = manifest.descriptor
    for (const index of indexes.toReversed()) {
      await store(index.descriptor, indexGcLabels([child]))
      child = index.descriptor
    }
    return await retry(() => leased.images.put(name, bare(child)), { what: `name the image ${name}`, signal, emit })
  })
  await dropLeftBehind(backend, emit)
  return record
}

async function storeBlob(options: ImportOptions, blob: Descriptor, gc: Labels): Promise<void> {
  const { backend, source, registry, signal, onEvent } = options
  checkAborted(signal)
  const existing = (await infoOrNone(backend.content, blob.digest))?.labels
  const labels = { ...gc, ...(registry === undefined ? {} : sourceLabel(registry, existing ?? {})) }
  const told = { type: 'blob' as const, digest: blob.digest, total: blob.size }
  const counted = async function* () {
    let bytes = 0
    for await (const chunk of source.read(blob)) {
      checkAborted(signal)
      yield chunk
      bytes += chunk.length
      onEvent?.({ ...told, bytes, there: false })
    }
  }
  const stored = await storeWhole({ content: backend.content, expected: blob, read: counted, labels, signal })
  if (stored === 'there') onEvent?.({ ...told, bytes: blob.size, there: true })
  // Also after a write: where another was first, the blob is there without these labels.
  if (Object.keys(labels).length > 0) await backend.content.label(blob.digest, labels)
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
