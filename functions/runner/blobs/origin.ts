import type { Digest } from '../../image/digest.ts'

/** Where a layer's content comes from. */
export type BlobOrigin =
  /** The layer's own blob is in the content store. */
  | { from: 'here' }
  /** Another blob of the content store, which comes to the same diff ID. */
  | { from: 'stand-in'; digest: Digest }
  /** A source that the user named; `digest` where it has the layer as another blob. */
  | { from: 'source'; spec: string; digest?: Digest }
  /** Whoever started the run brings it. */
  | { from: 'provided' }
  /** Made again out of what another snapshotter shows; its diff ID cannot be checked. */
  | { from: 'snapshotter'; name: string }

/** An origin in words: `here`, `stand-in DIGEST`, `source SPEC`, `snapshotter NAME`. */
export function originText(origin: BlobOrigin): string {
  switch (origin.from) {
    case 'here':
      return 'here'
    case 'stand-in':
      return `stand-in ${origin.digest}`
    case 'source':
      return `source ${origin.spec}`
    case 'provided':
      return 'provided'
    case 'snapshotter':
      return `snapshotter ${origin.name}`
  }
}
