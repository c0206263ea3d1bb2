/** The blobs below a root, each read whole and checked against its name. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { digestAlgorithm, isDigest, type Digest } from '../../../image/digest.ts'
import type { ContentInfo } from '../../ports.ts'
import { entriesOf } from '../entries.ts'
import type { Layout } from '../layout.ts'
import { blobRecord } from '../records.ts'

export interface FoundBlobs {
  whole: Map<Digest, ContentInfo>
  /** Files with a blob's name and other content. */
  damaged: { digest: Digest; path: string }[]
}

/** Reads every blob. Files with other names are not layercast's, and are skipped. */
export async function scanBlobs(layout: Layout, signal: AbortSignal): Promise<FoundBlobs> {
  const found: FoundBlobs = { whole: new Map(), damaged: [] }
  for (const algorithm of entriesOf(layout.blobs)) {
    if (!algorithm.isDirectory()) continue
    for (const entry of entriesOf(join(layout.blobs, algorithm.name))) {
      const digest = `${algorithm.name}:${entry.name}`
      if (!entry.isFile() || !isDigest(digest)) continue
      signal.throwIfAborted()
      const path = join(layout.blobs, algorithm.name, entry.name)
      if ((await digestOfFile(path, digest, signal)) !== digest) {
        found.damaged.push({ digest, path })
        continue
      }
      const { size, mtime } = await lstat(path)
      const stored = blobRecord(layout, digest) ?? { labels: {}, createdAt: mtime, updatedAt: mtime }
      found.whole.set(digest, { digest, size, ...stored })
    }
  }
  return found
}

async function digestOfFile(path: string, named: Digest, signal: AbortSignal): Promise<string> {
  const algorithm = digestAlgorithm(named)
  const hash = createHash(algorithm)
  for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer)
  return `${algorithm}:${hash.digest('hex')}`
}
