import { booleanAt, table, type Table } from './merge.ts'

const DEFAULT_DOWNLOADS = 3

/**
 * Whether containerd 2.1 and later pull without the transfer service: where the image service's section says so, or has a
 * setting that the transfer service cannot honour, which the daemon answers by pulling as before.
 */
export function pullsLocally(images: Table | undefined): boolean {
  if (booleanAt(images, 'use_local_image_pull') === true) return true
  const registry = table(images?.['registry'])
  const downloads = images?.['max_concurrent_downloads']
  return (
    booleanAt(images, 'disable_snapshot_annotations') === false ||
    booleanAt(images, 'discard_unpacked_layers') === true ||
    booleanAt(images, 'image_pull_with_sync_fs') === true ||
    (typeof downloads === 'number' && downloads !== DEFAULT_DOWNLOADS) ||
    ['mirrors', 'configs', 'auths'].some((key) => Object.keys(table(registry?.[key]) ?? {}).length > 0)
  )
}
