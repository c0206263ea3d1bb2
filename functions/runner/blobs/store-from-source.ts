/** Stores one blob of a source: the registry labels that it gets, and the stop of a run in between. */
import type { Descriptor } from '../../image/descriptor.ts'
import { checkAborted } from '../../kit/abort.ts'
import type { ContentStore, Labels } from '../../node/ports.ts'
import { sourceLabel } from '../../plan/gc-labels.ts'
import { ensureBlob } from '../content/ensure-blob.ts'
import type { ImageSource } from '../sources/source.ts'
import { isRegistrySpec } from '../sources/spec.ts'

/**
 * Reads the blob from the source and stores it, or replaces one that is there and damaged. A blob from a registry gets the
 * label that says so, as after a pull. ABORTED, DIGEST_MISMATCH, and errors of the source and of the store.
 */
export async function storeFromSource(
  source: ImageSource,
  blob: Descriptor,
  content: ContentStore,
  signal: AbortSignal,
): Promise<void> {
  const read = async function* () {
    for await (const chunk of source.read(blob)) {
      checkAborted(signal)
      yield chunk
    }
  }
  const reference = isRegistrySpec(source.spec) ? source.reference : undefined
  const labels = (existing: Labels) => (reference === undefined ? {} : sourceLabel(reference, existing))
  await ensureBlob({ content, expected: blob, read, labels, signal })
}
