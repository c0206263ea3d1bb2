/**
 * How an entry relies on the layers below its own, so that an applier that does not see them writes another tree: its path goes through a symbolic link of theirs; it is a hard link
 * to a file of theirs; it hides all that they have; it is a whiteout within a directory that is deleted; it describes a
 * directory of theirs without attributes that they gave it.
 */
export type Reliance = 'link' | 'hard link' | 'opaque root' | 'deleted' | 'attributes'

/** Told of an entry, with its path for people: bytes that are no UTF-8 are replaced. */
export type OnReliance = (reliance: Reliance, path: string) => void
