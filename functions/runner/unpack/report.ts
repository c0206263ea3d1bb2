/** Collects what a run tells, and makes its result of it. */
import type { Plan, Planned, PlanWarning } from '../../plan/document.ts'
import type { Lazy } from '../chain/lazy.ts'
import type { Emit, UnpackedLayer, UnpackEvent, UnpackOptions, UnpackResult } from './types.ts'

export class Report {
  readonly #planned: Planned
  readonly #onEvent: UnpackOptions['onEvent']
  readonly #started = performance.now()
  readonly #warnings: PlanWarning[]
  #mayHaveWaste = false

  constructor({ planned, onEvent }: UnpackOptions) {
    this.#planned = planned
    this.#onEvent = onEvent
    this.#warnings = [...planned.plan.warnings]
  }

  readonly emit: Emit = (event: UnpackEvent) => {
    if (event.type === 'retry') this.#mayHaveWaste = true
    if (event.type === 'warning') this.#warnings.push({ code: event.code, detail: event.detail })
    this.#onEvent?.(event)
  }

  /** Whether the lease may hold what nobody removes: the first try of what was tried again may have made something. */
  get mayHaveWaste(): boolean {
    return this.#mayHaveWaste
  }

  /** @param made the layers that this run made, by index */
  result(ready: boolean, made: ReadonlyMap<number, UnpackedLayer>, lazy: Lazy | undefined): UnpackResult {
    const { plan, digest } = this.#planned
    return {
      plan: digest,
      reference: plan.reference,
      snapshotter: plan.snapshotter,
      chainID: plan.chainID,
      ready,
      layers: plan.layers.map((layer, index) => made.get(index) ?? existing(layer, index)),
      ...(lazy !== undefined && { lazy }),
      warnings: this.#warnings,
      ms: performance.now() - this.#started,
    }
  }
}

function existing({ descriptor, chainID }: Plan['layers'][number], index: number): UnpackedLayer {
  return { index, digest: descriptor.digest, chainID, state: 'exists', ms: 0, bytes: 0 }
}
