/** Other blobs of the content store that come to the same diff ID (containerd/FACTS.md section 7). */
import type { Descriptor } from '../../image/descriptor.ts'
import { UNCOMPRESSED_LABEL } from '../../image/label-names.ts'
import { hasBytes } from '../../node/blob-fault.ts'
import type { Backend, ContentInfo } from '../../node/ports.ts'
import { isArchive, sniffed } from './blob.ts'
import type { BlobOffer, BlobProvider } from './types.ts'

/**
 * A way over blobs whose `containerd.io/uncompressed` label is the diff ID, and the one that is the uncompressed layer
 * itself, which comes first because its digest proves it. A label may lie: whoever applies the blob checks the diff ID.
 */
export function standInProvider(backend: Backend): BlobProvider {
  let listed: Promise<Map<string, ContentInfo[]>> | undefined
  const list = async (): Promise<Map<string, ContentInfo[]>> => {
    listed ??= byUncompressed(backend)
    try {
      return await listed
    } catch (error) {
      listed = undefined
      throw error
    }
  }
  return {
    async find({ layer }) {
      const { descriptor, diffID } = layer
      if (!isArchive(descriptor)) return []
      const found = (await list()).get(diffID) ?? []
      const offers: BlobOffer[] = []
      for (const info of found) {
        if (info.digest === descriptor.digest || !(await hasBytes(backend.content, info.digest))) continue
        offers.push(offer(sniffed(info)))
      }
      return offers
    },
  }
}

async function byUncompressed(backend: Backend): Promise<Map<string, ContentInfo[]>> {
  const found = new Map<string, ContentInfo[]>()
  for await (const info of backend.content.list()) {
    const label = info.labels[UNCOMPRESSED_LABEL]
    found.set(info.digest, [info, ...(found.get(info.digest) ?? [])])
    if (label !== undefined && label !== info.digest) found.set(label, [...(found.get(label) ?? []), info])
  }
  return found
}

function offer(blob: Descriptor): BlobOffer {
  return {
    origin: { from: 'stand-in', digest: blob.digest },
    blob,
    async fetch(into) {
      // A write of what is there puts it under the lease and reads nothing; of what has gone it fails.
      await into.content.write(blob, into.content.read(blob.digest))
      return blob
    },
  }
}
