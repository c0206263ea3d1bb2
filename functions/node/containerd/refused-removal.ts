/** Explains why the daemon refuses to remove a snapshot. */
import { hasCode, LayercastError } from '../../errors.ts'
import type { SnapshotInfo } from '../ports.ts'

/**
 * Adds to containerd's `cannot remove snapshot with child` which children those are (`detail.children`). There may be none: a garbage
 * collection that takes a child can leave it recorded as the parent's child (containerd's issue 11908, every version), and from
 * then on only the garbage collector can remove the parent. Other errors pass unchanged.
 */
export async function refusedRemoval(
  error: unknown,
  snapshotter: string,
  key: string,
  list: () => AsyncIterable<SnapshotInfo>,
): Promise<unknown> {
  if (!hasCode(error, 'FAILED_PRECONDITION')) return error
  const children: string[] = []
  for await (const { name, parent } of list()) if (parent === key) children.push(name)
  const options = { cause: error, detail: { snapshotter, snapshot: key, children } }
  return children.length > 0
    ? new LayercastError('FAILED_PRECONDITION', `snapshot ${key} of ${snapshotter} has ${children.join(', ')} on it`, {
        ...options,
        fix: "Remove those first, or what they belong to: 'layercast snapshot tree' shows them.",
      })
    : new LayercastError(
        'FAILED_PRECONDITION',
        `snapshot ${key} of ${snapshotter} has a child in containerd's books that is not there any more`,
        {
          ...options,
          fix: 'Remove what refers to it (the image, its containers): then the garbage collector takes it.',
        },
      )
}
