import { LayercastError } from '../errors.ts'
import { jittered } from '../kit/pause.ts'

const LENGTHENING = 0.2
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 5 * 60_000
/** A server, or what stands before it, may ask for more than that, but not for ever. */
const LONGEST_ASKED_MS = 15 * 60_000

/** Waits after failures: each longer than the one before, with an end, and never less than the server asks for. */
export class Backoff {
  #failures = 0

  succeeded(): void {
    this.#failures = 0
  }

  /** How many milliseconds to wait after this failure. */
  failed(error: unknown): number {
    const own = jittered(Math.min(FIRST_WAIT_MS * 2 ** this.#failures++, LONGEST_WAIT_MS))
    const asked = Math.min(askedWait(error) ?? 0, LONGEST_ASKED_MS)
    // Only longer, since it was asked for; yet not for all agents of a fleet alike.
    return Math.max(own, Math.round(asked * (1 + LENGTHENING * Math.random())))
  }
}

/** What the answer's Retry-After asked for, in milliseconds. */
export function askedWait(error: unknown): number | undefined {
  const asked = error instanceof LayercastError ? error.detail['retryAfterMs'] : undefined
  return typeof asked === 'number' && asked >= 0 ? asked : undefined
}
