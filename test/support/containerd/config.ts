/** The configuration of a private containerd. */
import { join } from 'node:path'
import type { ContainerdVersion } from './versions.ts'

export interface ConfigOptions {
  /** Run the CRI plugin, with these runtime handlers and their snapshotters besides `runc`'s overlayfs. */
  cri?: {
    handlers?: Record<string, string>
    sandboxImage?: string
    annotations?: boolean
    discardLayers?: boolean
    /** Give pods a network of their own, with nothing but a loopback device in it. */
    network?: boolean
    /** Pull every image from this registry (`127.0.0.1:PORT`), by its path there. */
    mirror?: string
  }
  /** Proxy plugins: remote snapshotters by name, with their socket. */
  proxies?: Record<string, string>
  /** More of config.toml, as its last lines. */
  config?: string
}

const quote = (text: string): string => JSON.stringify(text)

/** A config.toml for a private daemon below `directory`; of version 2 for containerd 1.x, 3 for 2.x. */
export function containerdConfig(version: ContainerdVersion, directory: string, options: ConfigOptions): string {
  const old = version.startsWith('1.')
  const cri = options.cri
  const criPlugins = old
    ? ['io.containerd.grpc.v1.cri']
    : ['io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime']
  const lines = [
    `version = ${old ? 2 : 3}`,
    `root = ${quote(join(directory, 'root'))}`,
    `state = ${quote(join(directory, 'state'))}`,
    `temp = ${quote(join(directory, 'tmp'))}`,
    `disabled_plugins = ${JSON.stringify(cri === undefined ? criPlugins : [])}`,
    '[grpc]',
    `  address = ${quote(join(directory, 'containerd.sock'))}`,
    '[ttrpc]',
    `  address = ${quote(join(directory, 'containerd.sock.ttrpc'))}`,
  ]
  // Two plugins that would otherwise use places of the machine.
  if (version !== '1.6') lines.push('[plugins."io.containerd.nri.v1.nri"]', '  disable = true')
  lines.push('[plugins."io.containerd.internal.v1.opt"]', `  path = ${quote(join(directory, 'opt'))}`)
  for (const [name, address] of Object.entries(options.proxies ?? {})) {
    lines.push(
      `[proxy_plugins.${name}]`,
      '  type = "snapshot"',
      `  address = ${quote(address)}`,
      `[proxy_plugins.${name}.exports]`,
      `  root = ${quote(join(directory, name))}`,
      '  enable_remote_snapshot_annotations = "true"',
    )
  }
  if (cri !== undefined) lines.push(...(old ? criVersion2(directory, cri) : criVersion3(directory, cri)))
  if (options.config !== undefined) lines.push(options.config)
  return `${lines.join('\n')}\n`
}

/** Where a daemon below `directory` looks for its network plugins and for the hosts of registries. */
export const placesOf = (directory: string): Record<'plugins' | 'networks' | 'hosts', string> => ({
  plugins: join(directory, 'cni', 'bin'),
  networks: join(directory, 'cni', 'conf'),
  hosts: join(directory, 'hosts'),
})

type Cri = NonNullable<ConfigOptions['cri']>

function criVersion2(
  directory: string,
  { handlers = {}, sandboxImage, annotations = true, discardLayers = false, network = false, mirror }: Cri,
): string[] {
  const plugin = 'plugins."io.containerd.grpc.v1.cri"'
  const places = placesOf(directory)
  return [
    `[${plugin}]`,
    '  restrict_oom_score_adj = true',
    ...(sandboxImage === undefined ? [] : [`  sandbox_image = ${quote(sandboxImage)}`]),
    `[${plugin}.containerd]`,
    '  snapshotter = "overlayfs"',
    `  disable_snapshot_annotations = ${!annotations}`,
    `  discard_unpacked_layers = ${discardLayers}`,
    ...runtimes(directory, `${plugin}.containerd`, handlers),
    ...(network
      ? [`[${plugin}.cni]`, `  bin_dir = ${quote(places.plugins)}`, `  conf_dir = ${quote(places.networks)}`]
      : []),
    ...(mirror === undefined ? [] : [`[${plugin}.registry]`, `  config_path = ${quote(places.hosts)}`]),
  ]
}

function criVersion3(
  directory: string,
  { handlers = {}, sandboxImage, annotations = true, discardLayers = false, network = false, mirror }: Cri,
): string[] {
  const images = 'plugins."io.containerd.cri.v1.images"'
  const runtime = 'plugins."io.containerd.cri.v1.runtime"'
  const places = placesOf(directory)
  return [
    `[${images}]`,
    '  snapshotter = "overlayfs"',
    `  disable_snapshot_annotations = ${!annotations}`,
    `  discard_unpacked_layers = ${discardLayers}`,
    ...(sandboxImage === undefined ? [] : [`[${images}.pinned_images]`, `  sandbox = ${quote(sandboxImage)}`]),
    `[${runtime}]`,
    // Without it runc fails where the OOM score may not be lowered.
    '  restrict_oom_score_adj = true',
    `[${runtime}.containerd]`,
    '  default_runtime_name = "runc"',
    ...runtimes(directory, `${runtime}.containerd`, handlers),
    ...(network
      ? [`[${runtime}.cni]`, `  bin_dirs = [${quote(places.plugins)}]`, `  conf_dir = ${quote(places.networks)}`]
      : []),
    ...(mirror === undefined ? [] : [`[${images}.registry]`, `  config_path = ${quote(places.hosts)}`]),
  ]
}

function runtimes(directory: string, table: string, handlers: Record<string, string>): string[] {
  const lines: string[] = []
  for (const [name, snapshotter] of Object.entries({ runc: 'overlayfs', ...handlers })) {
    const type = name === 'kata' ? 'io.containerd.kata.v2' : 'io.containerd.runc.v2'
    lines.push(
      `[${table}.runtimes.${name}]`,
      `  runtime_type = ${quote(type)}`,
      `  snapshotter = ${quote(snapshotter)}`,
    )
    if (name !== 'kata') lines.push(`[${table}.runtimes.${name}.options]`, `  Root = ${quote(join(directory, 'runc'))}`)
  }
  return lines
}
