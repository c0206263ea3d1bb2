/** What containerd's configuration says about unpacking: snapshotters, runtime handlers, pulls. */
import { existsSync } from 'node:fs'
import { isAtLeast, type DaemonVersion } from '../daemon-version.ts'
import {
  DEFAULT_CONFIG_PATH,
  loadConfigFiles,
  type ConfigFile,
  type LoadedConfig,
  type MissingImport,
} from './files.ts'
import { pullsLocally } from './local-pull.ts'
import { booleanAt, stringAt, asTable, tableAt, type Table } from './table.ts'

/** A runtime handler of CRI, and its snapshotters. */
export interface RuntimeHandler {
  name: string
  /** The snapshotter of its containers (CreateContainer). */
  snapshotter: string
  /** The snapshotter for which a pull for this handler unpacks; another one where a migration lost the setting. */
  pullSnapshotter: string
  /** Whether the handler's own section names the snapshotter. */
  own: boolean
  /** A snapshotter that the handler's section names and the daemon ignores: containerd 1.6 has one snapshotter for all. */
  ignored?: string
}

export interface ProxyPlugin {
  name: string
  type: string
  address: string
}

/** One row of the transfer service's `unpack_config`. */
export interface UnpackPlatform {
  platform: string
  snapshotter: string
  differ: string
}

/** What in containerd's configuration decides how images are unpacked, as a daemon of a given version reads it. */
export interface ContainerdConfig {
  files: ConfigFile[]
  /** Imported files that do not exist. Where there are any, the daemon may run from more than was read here. */
  missingImports: MissingImport[]
  /** Reasons why the daemon would not start from these files again, as far as names of plugins tell. */
  refusals: string[]
  /** CRI's default snapshotter. */
  snapshotter: string
  defaultHandler: string
  disableSnapshotAnnotations: boolean
  discardUnpackedLayers: boolean
  /** By name, sorted. */
  handlers: RuntimeHandler[]
  /** The configured pause image; undefined where the daemon's built-in one applies. */
  sandboxImage: string | undefined
  /** Images that the configuration pins beside the pause image; sorted. */
  otherPinnedImages: string[]
  proxyPlugins: ProxyPlugin[]
  disabledPlugins: string[]
  /** Whether CRI pulls images itself: always before containerd 2.1; later only where a setting asks for it or needs it. */
  useLocalImagePull: boolean
  /** How many layers the transfer service unpacks at once; more than one is parallel mode (containerd 2.2 and later). */
  maxConcurrentUnpacks: number
  /** Undefined where the file leaves it to the daemon's defaults. */
  unpackPlatforms: UnpackPlatform[] | undefined
  /** The diff service's order of differs; undefined where the file leaves it to the daemon. */
  differs: string[] | undefined
}

interface CriSections {
  /** Holds snapshotter, disable_snapshot_annotations, discard_unpacked_layers. */
  image: Table | undefined
  /** Holds default_runtime_name and runtimes. */
  runtime: Table | undefined
  sandboxImage: string | undefined
  pinned: Table | undefined
  /** The snapshotter that a pull for a runtime handler uses; containerd 1 has no such table. */
  platforms: Table | undefined
}

function criSections({ merged, version }: LoadedConfig, daemonMajor: number): CriSections {
  const plugins = tableAt(merged, 'plugins')
  if (daemonMajor < 2) {
    // containerd 1 knows a plugin by its short name in files of version 1 and by its full one in others. It ignores the rest.
    const cri = asTable(plugins?.[version === 1 ? 'cri' : 'io.containerd.grpc.v1.cri'])
    const containerd = asTable(cri?.['containerd'])
    return {
      image: containerd,
      runtime: containerd,
      sandboxImage: stringAt(cri, 'sandbox_image'),
      pinned: undefined,
      platforms: undefined,
    }
  }
  const image = asTable(plugins?.['io.containerd.cri.v1.images'])
  const pinned = asTable(image?.['pinned_images'])
  return {
    image,
    runtime: tableAt(plugins, 'io.containerd.cri.v1.runtime', 'containerd'),
    sandboxImage: stringAt(pinned, 'sandbox'),
    pinned,
    platforms: asTable(image?.['runtime_platforms']),
  }
}

function readHandlers(sections: CriSections, fallback: string, daemon: DaemonVersion): RuntimeHandler[] {
  const stated = asTable(sections.runtime?.['runtimes'])
  // Handlers of a file replace the built-in handler under containerd 1, and are added to it under 2.
  const runtimes = daemon.major < 2 && stated !== undefined ? stated : { runc: {}, ...stated }
  return Object.entries(runtimes)
    .map(([name, value]) => {
      // containerd 1.6 has no snapshotter per runtime, and ignores the key.
      const named = stringAt(asTable(value), 'snapshotter')
      const own = isAtLeast(daemon, '1.7') ? named : undefined
      const snapshotter = own ?? fallback
      const pulled = stringAt(asTable(sections.platforms?.[name]), 'snapshotter')
      // containerd 1.7 has one key for both. containerd 2 looks at runtime_platforms for a pull.
      const pullSnapshotter = daemon.major < 2 ? snapshotter : (pulled ?? fallback)
      const handler: RuntimeHandler = { name, snapshotter, pullSnapshotter, own: own !== undefined }
      if (named !== undefined && named !== snapshotter) handler.ignored = named
      return handler
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** The plugins that are disabled. In files of version 1, containerd 1 knows plugins by their short names only. */
function disabledPlugins({ merged, version }: LoadedConfig, daemonMajor: number): string[] {
  const listed = (merged['disabled_plugins'] as string[] | undefined) ?? []
  return daemonMajor < 2 && version === 1 ? listed.filter((id) => !id.includes('.')) : listed
}

function readProxies(merged: Table): ProxyPlugin[] {
  return Object.entries(tableAt(merged, 'proxy_plugins') ?? {})
    .map(([name, value]) => ({
      name,
      type: stringAt(asTable(value), 'type') ?? '',
      address: stringAt(asTable(value), 'address') ?? '',
    }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function readUnpackPlatforms(transfer: Table | undefined): UnpackPlatform[] | undefined {
  const rows = transfer?.['unpack_config']
  if (!Array.isArray(rows)) return undefined
  return rows.map((row: unknown) => ({
    platform: stringAt(asTable(row), 'platform') ?? '',
    snapshotter: stringAt(asTable(row), 'snapshotter') ?? '',
    differ: stringAt(asTable(row), 'differ') ?? '',
  }))
}

function readDiffers(merged: Table): string[] | undefined {
  const list = tableAt(merged, 'plugins', 'io.containerd.service.v1.diff-service')?.['default']
  return Array.isArray(list) ? list.filter((item): item is string => typeof item === 'string') : undefined
}

/**
 * Reads containerd's configuration as the daemon does: files of all versions, with imports and drop-ins, merged and migrated by
 * the rules of the daemon's version (containerd/FACTS.md section 8). A missing default file means the daemon's defaults.
 * @param options.path the main file; containerd's default one where it is left out
 * @param options.daemon the version of the daemon that runs from these files
 * @throws FILE_NOT_FOUND where a named file is missing, NODE_CONFIG_INVALID
 */
export function readContainerdConfig(options: { path?: string | undefined; daemon: DaemonVersion }): ContainerdConfig {
  const { path = DEFAULT_CONFIG_PATH, daemon } = options
  const absent = options.path === undefined && !existsSync(path)
  const nothing: LoadedConfig = { files: [], missingImports: [], version: 1, refusals: [], merged: {} }
  const loaded = absent ? nothing : loadConfigFiles(path, daemon)
  const { files, missingImports, merged, refusals } = loaded
  const sections = criSections(loaded, daemon.major)
  const snapshotter = stringAt(sections.image, 'snapshotter') ?? 'overlayfs'
  const transfer = tableAt(merged, 'plugins', 'io.containerd.transfer.v1.local')
  const unpacks = transfer?.['max_concurrent_unpacks']
  const hasTransfer = isAtLeast(daemon, '2.1')
  const pinned = Object.entries(sections.pinned ?? {}).filter(([key]) => key !== 'sandbox')
  return {
    files,
    missingImports,
    refusals,
    snapshotter,
    defaultHandler: stringAt(sections.runtime, 'default_runtime_name') ?? 'runc',
    disableSnapshotAnnotations: booleanAt(sections.image, 'disable_snapshot_annotations') ?? true,
    discardUnpackedLayers: booleanAt(sections.image, 'discard_unpacked_layers') ?? false,
    handlers: readHandlers(sections, snapshotter, daemon),
    sandboxImage: sections.sandboxImage,
    otherPinnedImages: pinned.flatMap(([, name]) => (typeof name === 'string' ? [name] : [])).toSorted(),
    proxyPlugins: readProxies(merged),
    disabledPlugins: disabledPlugins(loaded, daemon.major),
    useLocalImagePull: !hasTransfer || pullsLocally(sections.image),
    maxConcurrentUnpacks: typeof unpacks === 'number' ? unpacks : 1,
    unpackPlatforms: readUnpackPlatforms(transfer),
    differs: readDiffers(merged),
  }
}
