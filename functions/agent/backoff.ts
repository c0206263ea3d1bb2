/** How long an agent waits after a failure. */
import { LayercastError } from '../errors.ts'
import { jittered } from '../kit/pause.ts'

const LENGTHENING = 0.2
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 5 * 60_000
/** The limit of what a server, or a proxy before it, may ask for. */
const LONGEST_ASKED_MS = 15 * 60_000

/** Waits after failures: each longer than the one before, up to a limit, and never shorter than the server asks for. */
export class Backoff {
  #failures = 0

  succeeded(): void {
    this.#failures = 0
  }

  /** How many milliseconds to wait after this failure. */
  failed(error: unknown): number {
    const own = jittered(Math.min(FIRST_WAIT_MS * 2 ** this.#failures++, LONGEST_WAIT_MS))
    const asked = Math.min(askedWait(error) ?? 0, LONGEST_ASKED_MS)
    // Jitter makes it only longer than what was asked for, so that not all agents of a fleet come back at once.
    return Math.max(own, Math.round(asked * (1 + LENGTHENING * Math.random())))
  }
}

/** What the answer's Retry-After asked for, in milliseconds. */
export function askedWait(error: unknown): number | undefined {
  const asked = error instanceof LayercastError ? error.detail['retryAfterMs'] : undefined
  return typeof asked === 'number' && asked >= 0 ? asked : undefined
}
