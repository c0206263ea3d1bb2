/**
 * Guesses from file times whether a layer in a bare upperdir names every directory that it has. For containerd's diff service
 * alone, which does not say: layercast's own applier knows (`Applied.impliesDirectories`).
 */
import type { Stats } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'

/** How far a directory's time may lie behind the clock: the kernel's clock is coarse, an archive counts whole seconds. */
const SLACK_MS = 1000
/** By how much the wall clock may move against the steady one during an apply before file times say nothing. */
const DRIFT_MS = 500

/** When an apply began, by both clocks. */
export interface Moment {
  wall: number
  steady: number
}

export const now = (): Moment => ({ wall: Date.now(), steady: performance.now() })

/**
 * Whether the upperdir may have a directory that no entry of its layer names. Such a directory has a mode, an owner and times
 * that no layer gave it, and it hides those of the layers below, or a symbolic link that the path was to go through. It is
 * known by its time: appliers set the times of named directories last, so one that is as young as the apply was not named.
 * Where the times do not tell, because a clock was set or an entry is dated now, the answer is true.
 *
 * @param since when the apply began
 */
export async function mayImplyDirectories(upperdir: string, since: Moment): Promise<boolean> {
  if (!isSteady(since)) return true
  const pending: Buffer[] = [Buffer.from(upperdir)]
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const entry of await readdir(at, { withFileTypes: true, encoding: 'buffer' })) {
      if (!entry.isDirectory()) continue
      const path = Buffer.concat([at, Buffer.from('/'), entry.name])
      if (isYoung(await lstat(path), since)) return true
      pending.push(path)
    }
  }
  return false
}

function isYoung(stat: Stats, since: Moment): boolean {
  return stat.mtimeMs >= since.wall - SLACK_MS
}

function isSteady(since: Moment): boolean {
  return Math.abs(Date.now() - since.wall - (performance.now() - since.steady)) < DRIFT_MS
}
