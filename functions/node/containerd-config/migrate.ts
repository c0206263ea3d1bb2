/** Migrates CRI's sections of one file to version 3 as containerd 2 does, with what its migration loses. */
import { asTable, tableAt, type Table } from './table.ts'

/** CRI's plugin before version 3, which divides it in two. */
export const OLD_CRI = 'io.containerd.grpc.v1.cri'
const IMAGES = 'io.containerd.cri.v1.images'
const RUNTIME = 'io.containerd.cri.v1.runtime'

/** The keys of the old section's `containerd` table that moved to the image service's section. */
const IMAGE_KEYS = ['snapshotter', 'disable_snapshot_annotations', 'discard_unpacked_layers']

/** The keys of the old section itself that moved there, as far as they decide how images are pulled. */
const PULL_KEYS = ['registry', 'max_concurrent_downloads', 'image_pull_with_sync_fs']

/** Renames CRI's section from its short name, which files of version 1 use, to its full name. Changes the given table. */
export function migrateNames(plugins: Table): void {
  if (plugins['cri'] !== undefined && plugins[OLD_CRI] === undefined) {
    plugins[OLD_CRI] = plugins['cri']
    delete plugins['cri']
  }
}

/** Fills the image service's section. Returns the keys that containerd's own migration drops. */
function migrateImages(cri: Table, images: Table): string[] {
  const pinned = asTable(images['pinned_images']) ?? {}
  if (cri['sandbox_image'] !== undefined) pinned['sandbox'] = cri['sandbox_image']
  if (Object.keys(pinned).length > 0) images['pinned_images'] = pinned
  for (const key of PULL_KEYS) if (cri[key] !== undefined) images[key] = cri[key]
  const containerd = asTable(cri['containerd'])
  const runtimes = asTable(containerd?.['runtimes'])
  // Without a runtimes table containerd's migration ends here, and its defaults replace the three keys below.
  if (!containerd) return []
  if (!runtimes) return IMAGE_KEYS.filter((key) => containerd[key] !== undefined)
  // containerd's migration has two mistakes: it reads `snapshot` where files say `snapshotter`, and writes `runtime_platform` for
  // `runtime_platforms`. So a pull loses the snapshotter of a runtime. The same is done here, to find what the daemon finds.
  for (const [name, runtime] of Object.entries(runtimes)) {
    const snapshotter = asTable(runtime)?.['snapshot']
    if (typeof snapshotter === 'string' && snapshotter !== '') {
      const platforms = asTable(images['runtime_platform']) ?? {}
      platforms[name] = { snapshotter }
      images['runtime_platform'] = platforms
    }
  }
  for (const key of IMAGE_KEYS) if (containerd[key] !== undefined) images[key] = containerd[key]
  return []
}

function migrateRuntime(cri: Table, runtime: Table): void {
  const containerd = asTable(cri['containerd'])
  if (!containerd) return
  const updated = asTable(runtime['containerd']) ?? {}
  for (const [key, value] of Object.entries(containerd)) {
    if (!IMAGE_KEYS.includes(key) && updated[key] === undefined) updated[key] = value
  }
  runtime['containerd'] = updated
}

/**
 * Turns plugin sections of version 2 into those of version 3. Changes the given table. Only what layercast reads is carried over.
 * @returns the image service's keys that the file states and the migration loses
 */
export function migrateToV3(config: Table): string[] {
  const plugins = tableAt(config, 'plugins')
  if (!plugins) return []
  const cri = asTable(plugins[OLD_CRI])
  if (!cri) return []
  const images = asTable(plugins[IMAGES]) ?? {}
  const runtime = asTable(plugins[RUNTIME]) ?? {}
  const lost = migrateImages(cri, images)
  migrateRuntime(cri, runtime)
  plugins[IMAGES] = images
  plugins[RUNTIME] = runtime
  return lost
}
