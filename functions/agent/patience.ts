/** When a plan that failed is tried again. */
const FIRST_WAIT_MS = 30_000
const LONGEST_WAIT_MS = 15 * 60_000

/** Postpones a plan after each failure, longer each time, so that a broken layer is not written in every round. */
export class Patience {
  readonly #failures = new Map<string, { times: number; due: number }>()
  readonly #now: () => number

  /** @param now milliseconds of a monotonic clock: the wall clock may be set while a plan waits */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  isDue(digest: string): boolean {
    return (this.#failures.get(digest)?.due ?? 0) <= this.#now()
  }

  done(digest: string): void {
    this.#failures.delete(digest)
  }

  failed(digest: string): void {
    const times = (this.#failures.get(digest)?.times ?? 0) + 1
    const wait = Math.min(FIRST_WAIT_MS * 2 ** (times - 1), LONGEST_WAIT_MS)
    this.#failures.set(digest, { times, due: this.#now() + wait })
  }

  forget(): void {
    this.#failures.clear()
  }
}
