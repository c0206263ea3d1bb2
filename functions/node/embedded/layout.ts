/** Where things are below a root. */
import { createHash } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { LayercastError } from '../../errors.ts'
import { digestAlgorithm, type Digest } from '../../image/digest.ts'
import { makeDirectory } from '../../linux/make-directory.ts'

/** The paths below a root. Only what the database names counts. */
export interface Layout {
  readonly root: string
  /** The file that marks the root as layercast's. Nothing is removed below a root without it. */
  readonly mark: string
  readonly database: string
  /** Blobs that are being written. */
  readonly ingest: string
  readonly blobs: string
  readonly snapshots: string
  /** What is about to be deleted; no row names it. */
  readonly trash: string
  /** Records of images and blobs, for a rebuild of the database. The record of a snapshot is in its own directory. */
  readonly records: string
  /** What a rebuild could not use. It stays until a person removes it. */
  readonly setAside: string
}

export function layoutOf(root: string): Layout {
  return {
    root,
    mark: join(root, 'layercast-root'),
    database: join(root, 'layercast.db'),
    ingest: join(root, 'ingest'),
    blobs: join(root, 'blobs'),
    snapshots: join(root, 'snapshots'),
    trash: join(root, 'trash'),
    records: join(root, 'records'),
    setAside: join(root, 'set-aside'),
  }
}

/** The directories that every root has had from the first version on. */
export function oldDirectories({ ingest, blobs, snapshots, trash }: Layout): string[] {
  return [ingest, blobs, snapshots, trash]
}

/** Makes the directories below the root. FAILED_PRECONDITION where one of them is a symbolic link, whose target may be anyone's. */
export function makeTree(layout: Layout): void {
  makeDirectory(layout.root, 0o711)
  // Layers contain setuid programs, which other users must not reach here.
  for (const path of [...oldDirectories(layout), layout.records]) {
    makeDirectory(path, 0o700)
    if (lstatSync(path).isDirectory()) continue
    throw new LayercastError('FAILED_PRECONDITION', `${path} is a symbolic link, not a directory`, {
      fix: 'Put a directory in its place, or bind-mount another disk there.',
      detail: { root: layout.root, path },
    })
  }
}

export function blobDirectory(layout: Layout, digest: Digest): string {
  return join(layout.blobs, digestAlgorithm(digest))
}

export function blobPath(layout: Layout, digest: Digest): string {
  return join(blobDirectory(layout, digest), digest.slice(digest.indexOf(':') + 1))
}

export function snapshotPath(layout: Layout, id: number): string {
  return join(layout.snapshots, String(id))
}

/** The content of a snapshot: overlayfs's upperdir while it is active, a lowerdir afterwards. */
export function contentPath(layout: Layout, id: number): string {
  return join(snapshotPath(layout, id), 'fs')
}

/** Overlayfs's workdir, which must be on the file system of the upperdir. */
export function workPath(layout: Layout, id: number): string {
  return join(snapshotPath(layout, id), 'work')
}

/** The record of a committed snapshot, beside its content. Other snapshots have none. */
export function snapshotRecordPath(layout: Layout, id: number): string {
  return join(snapshotPath(layout, id), 'snapshot.json')
}

export function blobRecordPath(layout: Layout, digest: Digest): string {
  return join(layout.records, 'blobs', `${digest.replace(':', '-')}.json`)
}

/** By a hash of the name, which may be longer than a file's name, and contains slashes. */
export function imageRecordPath(layout: Layout, name: string): string {
  return join(layout.records, 'images', `${createHash('sha256').update(name).digest('hex')}.json`)
}
