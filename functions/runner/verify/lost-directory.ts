/** Snapshots that a snapshotter's books name and whose directories are gone. */
import { existsSync } from 'node:fs'
import { hasCode, LayercastError } from '../../errors.ts'
import type { Mount } from '../../linux/mount-list.ts'
import { shownDirectories } from '../../linux/plain-mounts.ts'

/** How far below the one that was to be shown, and where it should be, as far as that is known. */
export interface Lost {
  below: number
  path?: string
}

/** SNAPSHOT_NOT_FOUND, from which `lostOf` tells what is gone. */
export function lostSnapshot(snapshotter: string, name: string, lost: Lost, cause?: unknown): LayercastError {
  const where = lost.path === undefined ? 'its directory' : `the directory ${lost.path}`
  return new LayercastError('SNAPSHOT_NOT_FOUND', `snapshot ${name} of ${snapshotter} has lost ${where}`, {
    fix: "Run 'layercast repair --deep' on the image, which makes again what is gone.",
    detail: { snapshotter, snapshot: name, lost },
    ...(cause === undefined ? {} : { cause }),
  })
}

/** What is gone, where an error says that a snapshot's directory is; undefined for every other error. */
export function lostOf(error: unknown): Lost | undefined {
  return hasCode(error, 'SNAPSHOT_NOT_FOUND') ? (error.detail['lost'] as Lost | undefined) : undefined
}

/** The nearest of the directories that mounts show, by their order, that is not there; all are on this machine's disk. */
export function lostIn(mounts: readonly Mount[]): Lost | undefined {
  const paths = shownDirectories(mounts)
  const below = paths.findIndex((path) => path.startsWith('/') && !existsSync(path))
  const path = paths[below]
  return path === undefined ? undefined : { below, path }
}

/** Whether a snapshotter refused a view because of a directory that is not there, which a daemon tells in words alone. */
export function saysLost(error: unknown): boolean {
  return (
    error instanceof LayercastError &&
    (error.code === 'CONTAINERD_FAILED' || error.detail['grpc'] === 'NotFound') &&
    error.message.includes('no such file or directory')
  )
}
