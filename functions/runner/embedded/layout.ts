import { join } from 'node:path'
import { digestAlgorithm, type Digest } from '../../image/digest.ts'
import { makeDirectory } from '../system/make-directory.ts'

/** Where things lie below the embedded backend's root. The database says what counts; the rest is looked up by it. */
export interface Layout {
  readonly root: string
  readonly database: string
  /** Blobs that are being written. */
  readonly ingest: string
  readonly blobs: string
  readonly snapshots: string
  /** What no row names any more, on its way out. */
  readonly trash: string
}

export function layoutOf(root: string): Layout {
  return {
    root,
    database: join(root, 'layercast.db'),
    ingest: join(root, 'ingest'),
    blobs: join(root, 'blobs'),
    snapshots: join(root, 'snapshots'),
    trash: join(root, 'trash'),
  }
}

/** Makes the directories below the root. */
export function makeTree(layout: Layout): void {
  makeDirectory(layout.root, 0o711)
  // Layers hold setuid programs of their own: nobody else gets at them through here.
  for (const path of [layout.ingest, layout.blobs, layout.snapshots, layout.trash]) {
    makeDirectory(path, 0o700)
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
