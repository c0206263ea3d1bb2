/** Snapshots that are in a snapshotter's metadata, and whose directories are gone. */
import { existsSync } from 'node:fs'
import { hasCode, LayercastError } from '../../errors.ts'
import type { Mount } from '../../linux/mount-list.ts'
import { shownDirectories } from '../../linux/plain-mounts.ts'

/** A directory that is gone. */
export interface Lost {
  /** How many snapshots below the one that was to be shown its snapshot is: 0 for that one itself. */
  below: number
  /** Where the directory should be; absent where the snapshotter does not say. */
  path?: string
}

/** SNAPSHOT_NOT_FOUND that carries what is gone, for `lostOf`. */
export function lostSnapshot(snapshotter: string, name: string, lost: Lost, cause?: unknown): LayercastError {
  const where = lost.path === undefined ? 'its directory' : `the directory ${lost.path}`
  return new LayercastError('SNAPSHOT_NOT_FOUND', `snapshot ${name} of ${snapshotter} has lost ${where}`, {
    fix: "Run 'layercast repair --deep' on the image, which makes again what is gone.",
    detail: { snapshotter, snapshot: name, lost },
    cause,
  })
}

/** What is gone, where the error is one of `lostSnapshot`; undefined for every other error. */
export function lostOf(error: unknown): Lost | undefined {
  return hasCode(error, 'SNAPSHOT_NOT_FOUND') ? (error.detail['lost'] as Lost | undefined) : undefined
}

/** The topmost directory of overlay or bind mounts that is not there. The mounts must be of this machine. */
export function lostIn(mounts: readonly Mount[]): Lost | undefined {
  const paths = shownDirectories(mounts)
  const below = paths.findIndex((path) => path.startsWith('/') && !existsSync(path))
  const path = paths[below]
  return path === undefined ? undefined : { below, path }
}

/** Whether a snapshotter refused a view because a directory is not there. containerd says so in the message alone. */
export function saysLost(error: unknown): boolean {
  return (
    error instanceof LayercastError &&
    (error.code === 'CONTAINERD_FAILED' || error.detail['grpc'] === 'NotFound') &&
    error.message.includes('no such file or directory')
  )
}
