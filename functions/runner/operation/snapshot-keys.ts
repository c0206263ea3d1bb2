/** The keys of the snapshots that an operation makes, and removes or commits before it ends: active ones and views. */
import { randomBytes } from 'node:crypto'

const EXTRACT = 'extract-'
const OURS = 'layercast-'

/**
 * A key for the active snapshot in which a layer is made, spelt as containerd's own unpacker spells it
 * (functions/node/containerd/FACTS.md section 2, step 4).
 */
export function extractKey(chainID: string): string {
  const nanoseconds = (Date.now() % 1000) * 1_000_000 + Number(process.hrtime.bigint() % 1_000_000n)
  return `${EXTRACT}${nanoseconds}-${randomBytes(3).toString('base64url')} ${chainID}`
}

/** The chain ID in a key that `extractKey` or containerd's unpacker made; undefined for any other key. */
export function chainIDOfExtractKey(key: string): string | undefined {
  return key.startsWith(EXTRACT) ? key.slice(key.indexOf(' ') + 1) : undefined
}

/** A key for a view of the snapshot `name`. */
export function viewKey(purpose: string, name: string): string {
  return `${OURS}${purpose}-${randomBytes(9).toString('base64url')} ${name}`
}

/** Whether a key is one of these: what has it was not meant to last. */
export function isTemporaryKey(key: string): boolean {
  return key.startsWith(EXTRACT) || key.startsWith(OURS)
}
