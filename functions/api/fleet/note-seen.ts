/** When a node last called. */
import type { Store } from '../store/store.ts'

/** How old the written time may grow before it is written again: nodes call often, and a call must cost no write. */
const WRITE_EVERY_MS = 60_000

/** Writes that a node calls now, unless its written time, `seenAt`, is recent. In milliseconds since the epoch. */
export async function noteSeen(store: Store, nodeId: string, seenAt: number): Promise<void> {
  const now = Date.now()
  if (now - seenAt >= WRITE_EVERY_MS) await store.nodes.writeSeen(nodeId, now)
}
