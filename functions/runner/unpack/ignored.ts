/** Counts what layers hold and this node cannot write, for one warning of the run. */
import type { Ignored } from '../../layer/apply/types.ts'
import type { PlanWarning } from '../../plan/document.ts'
import type { Emit, UnpackedLayer } from './types.ts'

/** A layer may name attributes without end: so many kinds of what is left out are told apart, the rest is counted as one. */
const MOST_KINDS = 8
const REST = 'other attribute'

interface Kind {
  count: number
  reason: string
}

export class IgnoredTally {
  readonly #layers = new Map<number, Map<string, Kind>>()

  /** A layer is about to be written, perhaps not for the first time: only what is left out from here on counts. */
  begin(index: number): (ignored: Ignored) => void {
    const kinds = new Map<string, Kind>()
    this.#layers.set(index, kinds)
    return ({ what, reason, here }) => {
      if (here) add(kinds, what, { count: 1, reason })
    }
  }

  /** Emits ENTRIES_IGNORED where layers that were made by this run, which are those of `made`, lack something. */
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
