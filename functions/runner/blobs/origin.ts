/** Where the content of a layer comes from, and how that is told. */
import type { Digest } from '../../image/digest.ts'
import type { Placed } from './placed.ts'

export type BlobOrigin =
  /** The layer's own blob is in the content store. */
  | { from: 'here' }
  /** Another blob of the content store, with the same diff ID. */
  | { from: 'stand-in'; digest: Digest }
  /** A source that the user named; `digest` where it has the layer as another blob. */
  | { from: 'source'; spec: string; digest?: Digest }
  /** Made again from the snapshots of another snapshotter. Its diff ID cannot be checked. */
  | { from: 'snapshotter'; name: string }

/** Where a layer comes from whose blob is missing. Told once that is decided, and again when another provider takes over. */
export interface OriginEvent {
  type: 'origin'
  index: number
  chainID: Digest
  digest: Digest
  origin: BlobOrigin
}

/** An origin in words: `here`, `stand-in DIGEST`, `source SPEC`, `snapshotter NAME`. */
export function originText(origin: BlobOrigin): string {
  switch (origin.from) {
    case 'here':
      return 'here'
    case 'stand-in':
      return `stand-in ${origin.digest}`
    case 'source':
      return `source ${origin.spec}`
    case 'snapshotter':
      return `snapshotter ${origin.name}`
  }
}

/** Tells where a layer will come from. */
export function tellOrigin({ index, layer }: Placed, origin: BlobOrigin, emit: (event: OriginEvent) => void): void {
  const { chainID, descriptor } = layer
  emit({ type: 'origin', index, chainID, digest: descriptor.digest, origin })
}
