/** Makes sure that the content store has a blob, and has it undamaged. */
import type { Descriptor } from '../../image/descriptor.ts'
import { faultOf } from '../../node/blob-fault.ts'
import { infoOrNone } from '../../node/or-none.ts'
import type { ContentStore, Labels } from '../../node/ports.ts'

/** The blob was there and undamaged; it was not there; it was there and damaged. */
export type Stored = 'there' | 'written' | 'replaced'

export interface EnsureBlobOptions {
  content: ContentStore
  expected: Pick<Descriptor, 'digest' | 'size'>
  /** Gives the blob's bytes; called only where they are needed. */
  read: () => AsyncIterable<Uint8Array>
  /** Gives the labels to set, from those that the blob has in the store. */
  labels: (existing: Labels) => Labels
  signal?: AbortSignal
}

/**
 * Writes the blob where the store does not have it. One that the store has is read and compared with its digest, and replaced
 * where it is damaged. Afterwards the store's lease holds it, and it has the labels, in each of these cases.
 * DIGEST_MISMATCH for data that is not the blob: nothing has been changed then.
 */
export async function ensureBlob(options: EnsureBlobOptions): Promise<Stored> {
  const { content, expected } = options
  const existing = await infoOrNone(content, expected.digest)
  const labels = options.labels(existing?.labels ?? {})
  const stored = await (existing === undefined ? write(options, labels) : check(options, labels))
  // Also after a write: where another writer was first, the blob is there without these labels.
  if (Object.keys(labels).length > 0) await content.label(expected.digest, labels)
  return stored
}

async function check({ content, expected, read, signal }: EnsureBlobOptions, labels: Labels): Promise<Stored> {
  if ((await faultOf(content, expected, signal)) !== undefined) {
    await content.replace(expected, read(), labels)
    return 'replaced'
  }
  // A write of what is there puts it under the lease, and reads nothing.
  await content.write(expected, read(), labels)
  return 'there'
}

async function write({ content, expected, read, signal }: EnsureBlobOptions, labels: Labels): Promise<Stored> {
  let asked = false
  const noted = async function* () {
    asked = true
    yield* read()
  }
  await content.write(expected, noted(), labels)
  // The store has it without having read it: another namespace of containerd's has it, or another writer was first.
  if (!asked && (await faultOf(content, expected, signal)) !== undefined) {
    await content.replace(expected, read(), labels)
    return 'replaced'
  }
  return 'written'
}
