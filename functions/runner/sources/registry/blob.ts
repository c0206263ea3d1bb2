import { LayercastError } from '../../../errors.ts'
import type { Descriptor } from '../../../image/descriptor.ts'
import { isIndex, isManifest } from '../../../image/media-type.ts'
import { pause } from '../../../kit/pause.ts'
import type { Range } from '../../../node/ports.ts'
import { blobNotFound } from '../errors.ts'
import { blobBody, codingOf } from './coding.ts'
import { refused, unreachable } from './errors.ts'
import type { Repository } from './repository.ts'

// How often a line may break without a byte in between.
const MAX_BREAKS = 5
const PAUSE_MS = 500
// A line over which nothing has come for so long is dead.
const STALL_MS = 60_000

/**
 * A blob's bytes, or a part of them, from a registry (distribution-spec 1.1, "Pulling blobs"). Where the line breaks, it
 * goes on from where it was. Not checked here. BLOB_NOT_FOUND, REGISTRY_UNREACHABLE, REGISTRY_FAILED.
 */
export async function* readBlob(
  repository: Repository,
  descriptor: Descriptor,
  range: Range,
): AsyncGenerator<Uint8Array> {
  const { digest, mediaType, size } = descriptor
  const document = isManifest(mediaType) || isIndex(mediaType)
  const path = `${document ? 'manifests' : 'blobs'}/${digest}`
  let at = range.offset ?? 0
  const end = range.length === undefined ? size : Math.min(size, at + range.length)
  if (size > 0 && at >= end) return

  // Ranges of what a server coded on the way are of no use: parts of that do not decode.
  let ranges = true
  for (let breaks = 0; ;) {
    const response = await open(repository, path, descriptor, ranges ? at : 0)
    if (response.status === 206 && isOfAnother(response, size)) {
      await response.body?.cancel()
      ranges = false
      continue
    }
    // A server that knows no ranges begins anew.
    let skip = response.status === 206 ? 0 : at
    try {
      const line = unstalled(response)
      const { data, coded } =
        response.status === 206 ? { data: line, coded: false } : await blobBody(line, response, descriptor)
      if (coded) ranges = false
      for await (const chunk of data) {
        const fresh = chunk.subarray(Math.min(skip, chunk.length))
        skip -= chunk.length - fresh.length
        if (fresh.length === 0) continue
        breaks = 0
        // One byte more than there should be passes, so that whoever checks the blob sees it.
        const due = fresh.subarray(0, Math.max(0, end - at) + (end === size ? 1 : 0))
        at += due.length
        yield due
        if (due.length < fresh.length || (at >= end && end < size)) return
      }
      // The body ended as its framing said it would: asking again would give the same.
      return
    } catch (error) {
      if (error instanceof LayercastError) throw error
      if (++breaks > MAX_BREAKS) throw unreachable(repository.url(path), error)
    }
    await pause(PAUSE_MS * breaks)
  }
}

/** Whether a part is one of another form of the blob than the one that its digest is of. */
function isOfAnother(response: Response, size: number): boolean {
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

/** The body's chunks, an error once none has come for a long while; cancelled when the caller has enough. */
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
    // What broke the line is told already; that it cannot be cancelled any more is no news.
    await reader.cancel().catch(() => undefined)
  }
}
