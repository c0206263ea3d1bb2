/** Reads a blob from one host of a registry, through broken connections. */
import { LayercastError } from '../../../errors.ts'
import type { Descriptor } from '../../../image/descriptor.ts'
import { isIndex, isManifest } from '../../../image/media-type.ts'
import { pause } from '../../../kit/pause.ts'
import type { Range } from '../../../node/ports.ts'
import { blobNotFound } from '../errors.ts'
import { blobBody, codingOf } from './coding.ts'
import { refused, unreachable } from './errors.ts'
import type { Repository } from './repository.ts'

// How often the connection may break with no byte in between.
const MAX_BREAKS = 5
const PAUSE_MS = 500
// A connection over which nothing has come for this long counts as broken.
const STALL_MS = 60_000

/**
 * A blob's bytes, or a part of them (distribution-spec 1.1, "Pulling blobs"). A broken connection is opened again, from the
 * byte where it broke. The caller checks the digest. BLOB_NOT_FOUND, REGISTRY_UNREACHABLE, REGISTRY_FAILED.
 */
export async function* readRemoteBlob(
  repository: Repository,
  descriptor: Descriptor,
  range: Range,
): AsyncGenerator<Uint8Array> {
  const { digest, mediaType, size } = descriptor
  const isDocument = isManifest(mediaType) || isIndex(mediaType)
  const path = `${isDocument ? 'manifests' : 'blobs'}/${digest}`
  let at = range.offset ?? 0
  const end = range.length === undefined ? size : Math.min(size, at + range.length)
  if (size > 0 && at >= end) return

  // Where the server codes the body, a range is of the coded bytes, and such a part cannot be decoded.
  let ranges = true
  for (let breaks = 0; ;) {
    const response = await open(repository, path, descriptor, ranges ? at : 0)
    if (response.status === 206 && isOfCodedBody(response, size)) {
      await response.body?.cancel()
      ranges = false
      continue
    }
    // A server without ranges sends the blob from its beginning.
    let skip = response.status === 206 ? 0 : at
    try {
      const body = unstalled(response)
      const { data, coded } =
        response.status === 206 ? { data: body, coded: false } : await blobBody(body, response, descriptor)
      if (coded) ranges = false
      for await (const chunk of data) {
        const fresh = chunk.subarray(Math.min(skip, chunk.length))
        skip -= chunk.length - fresh.length
        if (fresh.length === 0) continue
        breaks = 0
        // One byte too many is passed on, so that the caller's check finds a blob that is too long.
        const due = fresh.subarray(0, Math.max(0, end - at) + (end === size ? 1 : 0))
        at += due.length
        yield due
        if (due.length < fresh.length || (at >= end && end < size)) return
      }
      // The body is complete by its framing. If it is too short, asking again would give the same.
      return
    } catch (error) {
      if (error instanceof LayercastError) throw error
      if (++breaks > MAX_BREAKS) throw unreachable(repository.url(path), error)
    }
    await pause(PAUSE_MS * breaks)
  }
}

/** Whether a part is of the coded body, and not of the blob. */
function isOfCodedBody(response: Response, size: number): boolean {
  const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
  return codingOf(response) !== undefined && Number(total) !== size
}

async function open(repository: Repository, path: string, descriptor: Descriptor, at: number): Promise<Response> {
  const headers: Record<string, string> = { accept: `${descriptor.mediaType}, */*` }
  if (at > 0) headers['range'] = `bytes=${at}-`
  const response = await repository.request(path, { headers })
  if (response.status === 200) return response
  const url = repository.url(path)
  if (response.status === 206) {
    if (new RegExp(`^bytes ${at}-`).test(response.headers.get('content-range') ?? '')) return response
    throw await refused(`read blob ${descriptor.digest} from byte ${at}`, url, response)
  }
  if (response.status === 404) {
    await response.body?.cancel()
    throw blobNotFound(`registry ${url.host}`, descriptor)
  }
  throw await refused(`read blob ${descriptor.digest}`, url, response)
}

/** The body's chunks, and an error where none comes for STALL_MS. The body is cancelled when the caller stops reading. */
async function* unstalled(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader()
  if (reader === undefined) return
  let timer: NodeJS.Timeout | undefined
  try {
    for (;;) {
      const stalled = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`nothing came for ${STALL_MS / 1000} s`)), STALL_MS)
      })
      const { done, value } = await Promise.race([reader.read(), stalled])
      clearTimeout(timer)
      if (done) return
      yield value
    }
  } finally {
    clearTimeout(timer)
    // A body that broke cannot be cancelled. Its error has been thrown above.
    await reader.cancel().catch(() => undefined)
  }
}
