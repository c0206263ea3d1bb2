/** Whether a layer that was written by itself, without the layers below (`rebase`), names every directory that it has. */
import type { Stats } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'

/** What a directory's time may be behind the clock by: the kernel's own is coarse, an archive's counts whole seconds. */
const SLACK_MS = 1000
/** By how much two clocks may differ over an apply before the times of files say nothing. */
const DRIFT_MS = 500

/** When an apply began. */
export interface Moment {
  wall: number
  steady: number
}

export const now = (): Moment => ({ wall: Date.now(), steady: performance.now() })

/**
 * Whether the layer that was written to this upper directory since that moment names every directory that it has. One that it
 * leaves out was made with a mode, owner and times of nobody's, and hides what the layers below say of them, or a symbolic
 * link of theirs that the path was to go through. It shows in its time: appliers give named directories theirs last of all.
 * In doubt, the answer is no.
 */
export async function namesItsDirectories(upper: string, since: Moment): Promise<boolean> {
  if (!isSteady(since)) return false
  const pending: Buffer[] = [Buffer.from(upper)]
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const entry of await readdir(at, { withFileTypes: true, encoding: 'buffer' })) {
      if (!entry.isDirectory()) continue
      const path = Buffer.concat([at, Buffer.from('/'), entry.name])
      if (isOf(await lstat(path), since)) return false
      pending.push(path)
    }
  }
  return true
}

function isOf(stat: Stats, since: Moment): boolean {
  return stat.mtimeMs >= since.wall - SLACK_MS
}

function isSteady(since: Moment): boolean {
  return Math.abs(Date.now() - since.wall - (performance.now() - since.steady)) < DRIFT_MS
}
