/** The provider over the node's content store: other blobs with the same diff ID (containerd/FACTS.md section 7). */
import type { Descriptor } from '../../image/descriptor.ts'
import { UNCOMPRESSED_LABEL } from '../../image/label-names.ts'
import { once } from '../../kit/once.ts'
import { hasLastByte } from '../../node/blob-fault.ts'
import type { Backend, ContentInfo } from '../../node/ports.ts'
import { isArchive, sniffed } from './blob.ts'
import type { BlobOffer, BlobProvider } from './types.ts'

/**
 * Offers the blob that is the uncompressed layer itself, first, because its digest proves it; then blobs whose label
 * `containerd.io/uncompressed` is the diff ID. A label may be wrong: whoever applies the blob checks the diff ID.
 */
export function standInProvider(backend: Backend): BlobProvider {
  const list = once(() => byDiffID(backend))
  return {
    async offers({ layer }) {
      const { descriptor, diffID } = layer
      if (!isArchive(descriptor)) return []
      const found = (await list()).get(diffID) ?? []
      const offers: BlobOffer[] = []
      for (const info of found) {
        if (info.digest === descriptor.digest || !(await hasLastByte(backend.content, info))) continue
        offers.push(offer(sniffed(info)))
      }
      return offers
    },
  }
}

async function byDiffID(backend: Backend): Promise<Map<string, ContentInfo[]>> {
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
      // Writing a blob that is there puts it under the lease and reads nothing. Where it has gone, the read fails.
      await into.content.write(blob, into.content.read(blob.digest))
      return blob
    },
  }
}
