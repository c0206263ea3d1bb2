/** Who calls: no one in particular where that is enough, or the holder of a token. */
export type Caller =
  | { scope: 'anyone' }
  | { scope: 'operator' }
  | { scope: 'join'; tokenId: string }
  | { scope: 'node'; nodeId: string; generation: number; seenAt: number; plans: string[]; known: string }

export type NodeCaller = Extract<Caller, { scope: 'node' }>
