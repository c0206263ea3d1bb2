import { existsSync } from 'node:fs'
import type { Mount } from '../../linux/mount-list.ts'
import type { SnapshotKind } from '../ports.ts'
import { contentPath, workPath, type Layout } from './layout.ts'

/** Overlay's inode index would refuse a layer's directory that was once mounted with another set of lowers. */
const INDEX_OFF = existsSync('/sys/module/overlay/parameters/index') ? ['index=off'] : []

/**
 * The mounts of an active snapshot or a view, as containerd's overlayfs snapshotter answers them: a bind mount where
 * one directory is all there is, an overlay otherwise. The mount data may outgrow the kernel's page of 4096 bytes;
 * whoever mounts shortens it, as containerd does.
 * @param parents the committed snapshots below, the nearest first
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

/** As overlay reads its options: a comma ends one, a colon a lower directory. */
function escape(path: string): string {
  return path.replaceAll(/[\\:,]/g, String.raw`\$&`)
}

function bind(source: string, access: 'ro' | 'rw'): Mount {
  return { type: 'bind', source, target: '', options: [access, 'rbind'] }
}
