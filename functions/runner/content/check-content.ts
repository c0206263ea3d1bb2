/** Finds damaged blobs of the content store, and the images that they belong to. */
import type { Digest } from '../../image/digest.ts'
import { checkAborted } from '../../kit/abort.ts'
import { faultOf } from '../../node/blob-fault.ts'
import type { Backend, ContentInfo } from '../../node/ports.ts'
import { imagesOfBlobs } from './images-of-blobs.ts'

export interface CheckedBlob {
  digest: Digest
  /** As the store says it, in bytes. */
  size: number
  /** What is wrong with it, in words that follow "blob DIGEST"; absent where it is not damaged. */
  fault?: string
  /** The names of the images that it belongs to. */
  images: string[]
}

export interface CheckOptions {
  backend: Backend
  /** The blobs to check; every blob of the store where absent. */
  digests?: readonly Digest[] | undefined
  signal: AbortSignal
  onChecked?: (blob: CheckedBlob, of: number) => void
}

/** Reads blobs and compares them with their digests, in the order of the digests. Changes nothing. ABORTED, CONTAINERD_*. */
export async function checkContent({ backend, digests, signal, onChecked }: CheckOptions): Promise<CheckedBlob[]> {
  const infos: ContentInfo[] = []
  for await (const info of backend.content.list()) {
    if (digests === undefined || digests.includes(info.digest)) infos.push(info)
  }
  infos.sort((one, other) => (one.digest < other.digest ? -1 : 1))
  const images = await imagesOfBlobs(backend)
  const checked: CheckedBlob[] = []
  for (const { digest, size } of infos) {
    checkAborted(signal)
    const fault = await faultOf(backend.content, { digest, size }, signal)
    const blob = { digest, size, ...(fault !== undefined && { fault }), images: images.get(digest) ?? [] }
    checked.push(blob)
    onChecked?.(blob, infos.length)
  }
  return checked
}
