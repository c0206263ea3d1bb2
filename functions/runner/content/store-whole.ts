import type { Descriptor } from '../../image/descriptor.ts'
import { faultOf } from '../../node/blob-fault.ts'
import { infoOrNone } from '../../node/or-none.ts'
import type { ContentStore, Labels } from '../../node/ports.ts'

/** What became of a blob: it was there, and right; it was not there; it was there, and damaged. */
export type Stored = 'there' | 'written' | 'replaced'

export interface StoreWholeOptions {
  content: ContentStore
  expected: Pick<Descriptor, 'digest' | 'size'>
  /** Gives the blob's bytes; called only where they are needed. */
  read: () => AsyncIterable<Uint8Array>
  labels: Labels
  signal?: AbortSignal
}

/**
 * Sees to it that the store has the blob, and has it right: one that is there is read and held against its digest, and
 * replaced where it is something else. It is held by the store's lease and has the labels afterwards, also where it was there.
 * DIGEST_MISMATCH for data that is not the blob; nothing is changed then.
 */
export async function storeWhole(options: StoreWholeOptions): Promise<Stored> {
  const { content, expected, read, labels, signal } = options
  const { digest } = expected
  if (await infoOrNone(content, digest)) {
    if ((await faultOf(content, expected, signal)) !== undefined) {
      await content.replace(expected, read(), labels)
      return 'replaced'
    }
    await content.write(expected, read(), labels)
    return 'there'
  }
  let asked = false
  const noted = async function* () {
    asked = true
    yield* read()
  }
  await content.write(expected, noted(), labels)
  // It came from elsewhere: another namespace of containerd's has it, or another writer was first.
  if (!asked && (await faultOf(content, expected, signal)) !== undefined) {
    await content.replace(expected, read(), labels)
    return 'replaced'
  }
  return 'written'
}
