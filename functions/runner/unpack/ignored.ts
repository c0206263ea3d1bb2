/** Counts what layers contain and this node cannot write, for one warning of the run. */
import type { Ignored } from '../../layer/apply/types.ts'
import type { PlanWarning } from '../../plan/document.ts'
import type { Emit, UnpackedLayer } from './types.ts'

/** A layer may name any number of attributes: so many kinds are told apart, and the others are counted as one. */
const MOST_KINDS = 8
const REST = 'other attribute'

interface Kind {
  count: number
  reason: string
}

export class IgnoredTally {
  readonly #layers = new Map<number, Map<string, Kind>>()

  /** Starts to count for a layer, anew where it is written a second time. Gives the function to call for what is left out. */
  begin(index: number): (ignored: Ignored) => void {
    const kinds = new Map<string, Kind>()
    this.#layers.set(index, kinds)
    return ({ what, reason, here }) => {
      if (here) add(kinds, what, { count: 1, reason })
    }
  }

  /** Emits ENTRIES_IGNORED where layers that this run wrote lack something. `made` is what became of the layers, by index. */
  tell(made: ReadonlyMap<number, UnpackedLayer>, emit: Emit): void {
    const kinds = new Map<string, Kind>()
    for (const [index, layer] of this.#layers) {
      if (made.get(index)?.state !== 'applied') continue
      for (const [what, kind] of layer) add(kinds, what, kind)
    }
    if (kinds.size > 0) emit({ type: 'warning', ...warningOf(kinds) })
  }
}

function add(kinds: Map<string, Kind>, what: string, { count, reason }: Kind): void {
  const name = kinds.has(what) || kinds.size < MOST_KINDS ? what : REST
  const known = kinds.get(name)
  if (known === undefined) kinds.set(name, { count, reason })
  else known.count += count
}

function warningOf(kinds: ReadonlyMap<string, Kind>): PlanWarning {
  const counts = [...kinds].map(([what, { count }]) => `${count} ${what}${count === 1 ? '' : 's'}`)
  const last = counts.pop() ?? ''
  const list = counts.length === 0 ? last : `${counts.join(', ')} and ${last}`
  const reasons = new Set([...kinds.values()].map(({ reason }) => reason))
  return { code: 'ENTRIES_IGNORED', detail: `${list} could not be written: ${[...reasons].join('; ')}` }
}
