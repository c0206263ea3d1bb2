import { hasCode, LayercastError } from '../../errors.ts'
import type { SnapshotInfo } from '../ports.ts'

/**
 * What containerd means by `cannot remove snapshot with child`, which names none: the children in `detail.children`. None
 * is a ghost, which the collector leaves of a child that it took (containerd's issue 11908, every version): it stays in the
 * books of the snapshot below, which from then on the collector alone can take. Errors of other kinds pass unchanged.
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
