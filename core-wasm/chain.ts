/** Chain IDs of many images: in the core's lanes where there are many links, by the host's own hash where there are few. */
import { native } from '#core-module'
import { hashHex, hashing, type Engine } from './hash.ts'

/** The most that one call into the core takes: its input region and its list of lengths (assembly/layout.ts). */
const TEXT_MAX = 0x80000
const DIGESTS_MAX = 4000
/** The longest diff ID for which a lane's message has room. */
const DIGEST_MAX = 256
/** `sha256:` and 64 digits. */
const CHAIN_ID = 71

/** With fewer links than this, the host's hash is done before the lanes are filled. */
const NATIVE_BELOW = 64

const encoder = new TextEncoder()
// What it decodes is ASCII, but a decoder of another encoding than UTF-8 takes a millisecond to set up.
const decoder = new TextDecoder()

/**
 * The chain IDs of many lists of diff IDs: the first is the first diff ID itself, each next one is the SHA-256 of the one
 * before, a space, and the next diff ID (OCI image specification, "Layer ChainID"). Diff IDs are taken as they are.
 */
export function chainIDs(chains: readonly (readonly string[])[], options: { engine?: Engine } = {}): string[][] {
  const results: string[][] = []
  let batch: (readonly string[])[] = []
  let digests = 0
  let text = 0
  let links = 0
  if (options.engine === undefined) for (const chain of chains) links += Math.max(0, chain.length - 1)
  const useNative =
    native !== undefined && (options.engine === 'native' || (options.engine === undefined && links < NATIVE_BELOW))

  for (const chain of chains) {
    const size = useNative ? undefined : sizeOf(chain)
    if (size === undefined) {
      if (batch.length > 0) results.push(...inLanes(batch))
      batch = []
      digests = 0
      text = 0
      results.push(oneByOne(chain))
      continue
    }
    if (digests + chain.length > DIGESTS_MAX || text + size > TEXT_MAX) {
      results.push(...inLanes(batch))
      batch = []
      digests = 0
      text = 0
    }
    batch.push(chain)
    digests += chain.length
    text += size
  }
  if (batch.length > 0) results.push(...inLanes(batch))
  return results
}

/** The length of a chain's text in bytes, if it is ASCII; undefined where it is too long for one call. */
function sizeOf(chain: readonly string[]): number | undefined {
  let size = 0
  for (const digest of chain) {
    if (digest.length > DIGEST_MAX) return undefined
    size += digest.length
  }
  return size > TEXT_MAX || chain.length > DIGESTS_MAX ? undefined : size
}

function oneByOne(chain: readonly string[]): string[] {
  const result: string[] = []
  let last: string | undefined
  for (const digest of chain) {
    last = last === undefined ? digest : `sha256:${hashHex('sha256', `${last} ${digest}`)}`
    result.push(last)
  }
  return result
}

function inLanes(batch: readonly (readonly string[])[]): string[][] {
  const { core, bytes } = hashing()
  const input = core.inputAddress()
  let end = input
  for (const chain of batch) {
    // Joined first: to encode one long text takes half as long as many short ones.
    const text = chain.join('')
    const { read, written } = encoder.encodeInto(text, bytes.subarray(end, input + TEXT_MAX))
    // Not ASCII: the lengths would not be those of the text.
    if (read !== text.length || written !== text.length) return batch.map(oneByOne)
    end += written
  }

  const lengths = new Uint32Array(bytes.buffer, core.lengthsAddress(), DIGESTS_MAX * 2)
  let words = 0
  for (const chain of batch) {
    lengths[words++] = chain.length
    for (const digest of chain) lengths[words++] = digest.length
  }
  core.chainBatch(words)

  const window = core.windowAddress()
  const links = batch.reduce((sum, chain) => sum + Math.max(0, chain.length - 1), 0)
  const text = decoder.decode(bytes.subarray(window, window + links * CHAIN_ID))
  let at = 0
  return batch.map((chain) =>
    chain.map((digest, i) => {
      if (i === 0) return digest
      at += CHAIN_ID
      return text.slice(at - CHAIN_ID, at)
    }),
  )
}
