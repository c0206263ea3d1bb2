/** Who calls: the holder of a token, or anyone where no token is needed. */
export type Caller = { scope: 'anyone' } | { scope: 'operator' } | { scope: 'join'; tokenId: string } | NodeCaller

/** A node, with what was read of it together with its token, so that its commonest call reads the database once. */
export interface NodeCaller {
  scope: 'node'
  nodeId: string
  /** The generation of its assignment. */
  generation: number
  /** When it last called, as written; in milliseconds since the epoch. */
  seenAt: number
  /** The digests of the plans that it is assigned, in order. */
  plans: string[]
  /** What the server knows of it, as a text that names its state. */
  known: string
}
