/** Heals the documents of an image that the node holds: what is missing or damaged is fetched from the user's sources. */
import type { Digest } from '../../image/digest.ts'
import type { Backend } from '../../node/ports.ts'
import type { Heal } from '../content/documents.ts'
import type { EmitOperation } from '../operation/events.ts'

export interface HealingOptions {
  /** As the user spelt them; with none, nothing is healed. */
  sources?: readonly string[] | undefined
  signal?: AbortSignal | undefined
  onEvent?: EmitOperation | undefined
}

/** Does the work with what heals the documents of this image, or with undefined where the user named no source. */
export async function withHealing<T>(
  backend: Backend,
  image: { reference: string; target: Digest },
  { sources = [], signal = new AbortController().signal, onEvent }: HealingOptions,
  work: (heal: Heal | undefined) => Promise<T>,
): Promise<T> {
  if (sources.length === 0) return await work(undefined)
  // Loaded here: a run without sources needs none of it.
  const { createHealer } = await import('../blobs/heal.ts')
  const healer = createHealer({ backend, ...image, sources, signal, emit: (event) => onEvent?.(event) })
  try {
    return await work((document) => healer.heal(document))
  } finally {
    await healer.close()
  }
}
