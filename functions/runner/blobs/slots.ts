/** Bounds how many fetches run at once. Those that wait get their turn in the order in which they asked. */
export class Slots {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(count: number) {
    this.#free = count
  }

  /** Runs `work` when a slot is free. Errors are those of `work`. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      // The slot is handed on, not freed in between, so that nobody overtakes those who wait.
      if (next === undefined) this.#free++
      else next()
    }
  }
}
