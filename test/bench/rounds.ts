/** One way to do the work. It must do all of it within the call, and give what can be checked. */
export interface Contestant {
  name: string
  /** Makes ready what the work begins with; not counted. */
  before?(): void | Promise<void>
  run(): void | Promise<void>
}

/** Medians, in milliseconds, by contestant. */
export type Medians = ReadonlyMap<string, number>

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2
}

/**
 * Runs every contestant once a round, in turn, the order turned round each time: the machine's speed drifts, and a ratio
 * of medians taken so drifts little. The first round warms up and does not count.
 */
export async function interleaved(contestants: readonly Contestant[], rounds: number): Promise<Medians> {
  const times = new Map<string, number[]>(contestants.map(({ name }) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    const order = round % 2 === 0 ? contestants : contestants.toReversed()
    for (const { name, before, run } of order) {
      await before?.()
      const started = performance.now()
      await run()
      if (round > 0) times.get(name)?.push(performance.now() - started)
    }
  }
  return new Map([...times].map(([name, list]) => [name, median(list)]))
}
