/** Who pulls images for CRI from containerd 2.1 on: CRI itself, or the transfer service. */
import { booleanAt, asTable, type Table } from './table.ts'

/** The default of `max_concurrent_downloads`. */
const DEFAULT_DOWNLOADS = 3

/**
 * Whether CRI of containerd 2.1 and later pulls without the transfer service: because the image service's section says so, or
 * because it has a setting that the transfer service does not support.
 */
export function pullsLocally(images: Table | undefined): boolean {
  if (booleanAt(images, 'use_local_image_pull') === true) return true
  const registry = asTable(images?.['registry'])
  const downloads = images?.['max_concurrent_downloads']
  return (
    booleanAt(images, 'disable_snapshot_annotations') === false ||
    booleanAt(images, 'discard_unpacked_layers') === true ||
    booleanAt(images, 'image_pull_with_sync_fs') === true ||
    (typeof downloads === 'number' && downloads !== DEFAULT_DOWNLOADS) ||
    ['mirrors', 'configs', 'auths'].some((key) => Object.keys(asTable(registry?.[key]) ?? {}).length > 0)
  )
}
