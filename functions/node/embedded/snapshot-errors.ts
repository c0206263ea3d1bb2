/** Errors about snapshots of a root. */
import { LayercastError } from '../../errors.ts'
import { quote } from '../../image/quote.ts'

/** SNAPSHOT_NOT_FOUND for a name without a row. */
export function notFound(snapshotter: string, key: string, which = ''): LayercastError {
  return new LayercastError('SNAPSHOT_NOT_FOUND', `${which}snapshot ${quote(key)} is not in ${snapshotter}`, {
    fix: 'List the snapshots with `layercast snapshot ls`.',
    detail: { snapshotter, snapshot: key },
  })
}

/** SNAPSHOT_NOT_FOUND for a snapshot with a row whose directory is lost. */
export function lostSnapshotError(snapshotter: string, key: string, path: string): LayercastError {
  return new LayercastError(
    'SNAPSHOT_NOT_FOUND',
    `snapshot ${quote(key)} of ${snapshotter} has lost its directory ${path}`,
    {
      fix: "Run 'layercast repair' on the image, which makes it again; 'layercast snapshot ls' shows which are lost.",
      detail: { snapshotter, snapshot: key, path },
    },
  )
}

/** FAILED_PRECONDITION about one snapshot. */
export function precondition(message: string, key: string, detail: Record<string, unknown> = {}): LayercastError {
  return new LayercastError('FAILED_PRECONDITION', message, { detail: { snapshot: key, ...detail } })
}
