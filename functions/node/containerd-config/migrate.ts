import { table, tableAt, type Table } from './merge.ts'

/** CRI's plugin before it was taken apart in version 3. */
export const OLD_CRI = 'io.containerd.grpc.v1.cri'
const IMAGES = 'io.containerd.cri.v1.images'
const RUNTIME = 'io.containerd.cri.v1.runtime'

/** What of the old section's `containerd` table went to the image service's section. */
const IMAGE_KEYS = ['snapshotter', 'disable_snapshot_annotations', 'discard_unpacked_layers']

/** What of the old section itself went there, as far as it decides over pulls. */
const PULL_KEYS = ['registry', 'max_concurrent_downloads', 'image_pull_with_sync_fs']

/** Gives the plugin that files of version 1 call by a short name its full one; a short name means nothing from version 2 on. */
export function migrateNames(plugins: Table): void {
  if (plugins['cri'] !== undefined && plugins[OLD_CRI] === undefined) {
    plugins[OLD_CRI] = plugins['cri']
    delete plugins['cri']
  }
}

/** Gives the keys that containerd's own migration drops. */
function migrateImages(cri: Table, images: Table): string[] {
  const pinned = table(images['pinned_images']) ?? {}
  if (cri['sandbox_image'] !== undefined) pinned['sandbox'] = cri['sandbox_image']
  if (Object.keys(pinned).length > 0) images['pinned_images'] = pinned
  for (const key of PULL_KEYS) if (cri[key] !== undefined) images[key] = cri[key]
  const containerd = table(cri['containerd'])
  const runtimes = table(containerd?.['runtimes'])
  // containerd returns here, so that without runtimes its own defaults replace the three keys below.
  if (!containerd) return []
  if (!runtimes) return IMAGE_KEYS.filter((key) => containerd[key] !== undefined)
  // containerd reads `snapshot` where files say `snapshotter`, and writes a section that nothing reads: that is how a
  // per-runtime snapshotter is lost for pulls. We do as it does, since we tell what the daemon will do.
  for (const [name, runtime] of Object.entries(runtimes)) {
    const snapshotter = table(runtime)?.['snapshot']
    if (typeof snapshotter === 'string' && snapshotter !== '') {
      const platforms = table(images['runtime_platform']) ?? {}
      platforms[name] = { snapshotter }
      images['runtime_platform'] = platforms
    }
  }
  for (const key of IMAGE_KEYS) if (containerd[key] !== undefined) images[key] = containerd[key]
  return []
}

function migrateRuntime(cri: Table, runtime: Table): void {
  const containerd = table(cri['containerd'])
  if (!containerd) return
  const updated = table(runtime['containerd']) ?? {}
  for (const [key, value] of Object.entries(containerd)) {
    if (!IMAGE_KEYS.includes(key) && updated[key] === undefined) updated[key] = value
  }
  runtime['containerd'] = updated
}

/**
 * Turns one file's plugin sections of version 2 into those of version 3, as containerd 2 does before it merges the file.
 * Changes the given table. Only what layercast reads is carried over.
 * Gives the image service's keys that the file states and the migration loses.
 */
export function migrateToV3(config: Table): string[] {
  const plugins = tableAt(config, 'plugins')
  if (!plugins) return []
  const cri = table(plugins[OLD_CRI])
  if (!cri) return []
  const images = table(plugins[IMAGES]) ?? {}
  const runtime = table(plugins[RUNTIME]) ?? {}
  const lost = migrateImages(cri, images)
  migrateRuntime(cri, runtime)
  plugins[IMAGES] = images
  plugins[RUNTIME] = runtime
  return lost
}
