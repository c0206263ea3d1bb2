/** The mounts of a snapshot. */
import { existsSync } from 'node:fs'
import type { Mount } from '../../linux/mount-list.ts'
import type { SnapshotKind } from '../ports.ts'
import { contentPath, workPath, type Layout } from './layout.ts'

/** With overlayfs's inode index a mount fails where a directory was mounted before over another set of lowerdirs. */
const INDEX_OFF = existsSync('/sys/module/overlay/parameters/index') ? ['index=off'] : []

/**
 * The mounts of an active snapshot or a view, as containerd's overlayfs snapshotter answers them: a bind mount where there is only
 * one directory, an overlay otherwise. The options may be longer than the kernel's limit of one page; the code that mounts them
 * shortens them, as containerd's does.
 * @param parents the committed snapshots below, from top to bottom
 */
export function describeMounts(layout: Layout, id: number, kind: SnapshotKind, parents: readonly number[]): Mount[] {
  const [nearest] = parents
  if (nearest === undefined) return [bind(contentPath(layout, id), kind === 'view' ? 'ro' : 'rw')]
  if (kind === 'view' && parents.length === 1) return [bind(contentPath(layout, nearest), 'ro')]
  const upper =
    kind === 'view' ? [] : [`workdir=${escape(workPath(layout, id))}`, `upperdir=${escape(contentPath(layout, id))}`]
  const lower = `lowerdir=${parents.map((parent) => escape(contentPath(layout, parent))).join(':')}`
  return [{ type: 'overlay', source: 'overlay', target: '', options: [...INDEX_OFF, ...upper, lower] }]
}

/** Escapes a path for overlayfs's options, where a comma ends an option and a colon a lowerdir. */
function escape(path: string): string {
  return path.replaceAll(/[\\:,]/g, String.raw`\$&`)
}

function bind(source: string, access: 'ro' | 'rw'): Mount {
  return { type: 'bind', source, target: '', options: [access, 'rbind'] }
}
