import { LayercastError } from '../../errors.ts'
import { quote } from '../../image/quote.ts'

/** SNAPSHOT_NOT_FOUND for a name that no row has. */
export function notFound(snapshotter: string, key: string, which = ''): LayercastError {
  return new LayercastError('SNAPSHOT_NOT_FOUND', `${which}snapshot ${quote(key)} is not in ${snapshotter}`, {
    fix: 'List the snapshots with `layercast snapshot ls`.',
    detail: { snapshotter, snapshot: key },
  })
}

/** It has a row, and what it names is not on the disk: for whoever asks that is as good as not being there. */
export function lostSnapshot(snapshotter: string, key: string, path: string): LayercastError {
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
