import { createHash } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { LayercastError } from '../../errors.ts'
import { digestAlgorithm, type Digest } from '../../image/digest.ts'
import { makeDirectory } from '../../linux/make-directory.ts'

/** Where things lie below the embedded backend's root. The database says what counts; the rest is looked up by it. */
export interface Layout {
  readonly root: string
  /** Says that the root is layercast's. Nothing is ever removed below a root without it. */
  readonly mark: string
  readonly database: string
  /** Blobs that are being written. */
  readonly ingest: string
  readonly blobs: string
  readonly snapshots: string
  /** What no row names any more, on its way out. */
  readonly trash: string
  /** What a rebuild of the database needs of images and blobs, one file each. A snapshot's lies in its own directory. */
  readonly records: string
  /** What a rebuild could not use. Kept until a person removes it. */
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

/**
 * Makes the directories below the root. FAILED_PRECONDITION where one of them is a link: what lies behind it is somebody
 * else's.
 */
export function makeTree(layout: Layout): void {
  makeDirectory(layout.root, 0o711)
  // Layers hold setuid programs of their own: nobody else gets at them through here.
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

/** The layer's own content: overlay's upper directory while it is written, a lower one afterwards. */
export function contentPath(layout: Layout, id: number): string {
  return join(snapshotPath(layout, id), 'fs')
}

/** Overlay's scratch directory, on the file system of the upper one. */
export function workPath(layout: Layout, id: number): string {
  return join(snapshotPath(layout, id), 'work')
}

/** Lies beside the content and goes with it. Committed snapshots alone have one. */
export function snapshotRecordPath(layout: Layout, id: number): string {
  return join(snapshotPath(layout, id), 'snapshot.json')
}

export function blobRecordPath(layout: Layout, digest: Digest): string {
  return join(layout.records, 'blobs', `${digest.replace(':', '-')}.json`)
}

/** A name may be longer than a file's, and holds slashes. */
export function imageRecordPath(layout: Layout, name: string): string {
  return join(layout.records, 'images', `${createHash('sha256').update(name).digest('hex')}.json`)
}
