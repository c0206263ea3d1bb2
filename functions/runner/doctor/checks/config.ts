import { handlersOf, readsCriLabels, snapshottersInUse, type Check } from '../finding.ts'

const IMAGES = `plugins."io.containerd.cri.v1.images"`

/** The section in which a setting stands, as this daemon reads it. */
function imageSection(major: number): string {
  return major < 2 ? `plugins."io.containerd.grpc.v1.cri".containerd` : IMAGES
}

/** A version 2 file's per-runtime snapshotter is not there for pulls once containerd 2 has migrated it (CONTAINERD-FACTS section 8). */
export const handlerLostByMigration: Check = ({ config, daemon }) => {
  if (daemon.major < 2) return []
  const migrated = config.files.some(({ version }) => version < 3)
  return config.handlers
    .filter(({ own, snapshotter, pullSnapshotter }) => own && snapshotter !== pullSnapshotter)
    .map(({ name, snapshotter, pullSnapshotter }) => ({
      code: migrated ? 'HANDLER_LOST_BY_MIGRATION' : 'HANDLER_PULLS_ELSEWHERE',
      severity: 'warning',
      what:
        `handler ${name} runs containers from ${snapshotter}, but a pull for it unpacks for ${pullSnapshotter}` +
        (migrated ? ': the migration of a version 2 file loses its snapshotter for pulls' : ''),
      fix: `Write a version 3 file with [${IMAGES}.runtime_platforms.${name}] snapshotter = "${snapshotter}"; until then run layercast unpack --runtime-handler ${name} after each pull.`,
    }))
}

/** containerd 2 drops three settings of a version 2 file that has no runtimes table beside them. */
export const settingsLostByMigration: Check = ({ config }) =>
  config.files
    .filter(({ lost }) => lost.length > 0)
    .map(({ path, lost }) => ({
      code: 'SETTINGS_LOST_BY_MIGRATION',
      severity: 'error',
      what: `${path} states ${lost.join(', ')} in a version 2 section without runtimes: containerd 2 loses them as it migrates the file`,
      fix: `Write the file as version 3 and put them under [${IMAGES}].`,
    }))

/** containerd 1 replaces a plugin's whole section by the one of a later file. */
export const sectionReplaced: Check = ({ config }) =>
  config.files
    .filter(({ replaced }) => replaced.some((id) => id === 'cri' || id.endsWith('.cri')))
    .map(({ path }) => ({
      code: 'CRI_SECTION_REPLACED',
      severity: 'warning',
      what: `${path} replaces the CRI section of the files before it whole: what they set there does not count`,
      fix: 'Keep all CRI settings in one file; containerd 1 does not merge the sections.',
    }))

/** Labels are off by default, and a remote snapshotter cannot do without them. */
export const annotationsOff: Check = (facts) => {
  if (!facts.config.disableSnapshotAnnotations) return []
  const needy = snapshottersInUse(facts).filter((name) => readsCriLabels(name))
  return needy.map((name) => ({
    code: 'ANNOTATIONS_OFF',
    severity: 'warning',
    what: `disable_snapshot_annotations is true (the default), and ${name} (${handlersOf(facts, name)}) reads the labels that it withholds`,
    fix: `Set disable_snapshot_annotations = false under [${imageSection(facts.daemon.major)}]; layercast's own unpacks carry the labels either way.`,
  }))
}

/** With discard on, there is nothing to unpack again from. */
export const discardOn: Check = (facts) => {
  const others = snapshottersInUse(facts).filter((name) => name !== facts.config.snapshotter)
  if (!facts.config.discardUnpackedLayers) return []
  return [
    {
      code: 'DISCARD_ON',
      severity: others.length > 0 ? 'warning' : 'note',
      what: `discard_unpacked_layers is true: layer blobs go after a pull${others.length > 0 ? `, and ${others.join(', ')} will need them` : ''}`,
      fix: `Set discard_unpacked_layers = false under [${imageSection(facts.daemon.major)}], or give layercast unpack a --source.`,
    },
  ]
}

/** A node without CRI has no handlers, whatever the file says of them. */
export const criDisabled: Check = ({ config }) => {
  const disabled = config.disabledPlugins.filter((id) => id === 'cri' || /\.cri$|\.cri\.v1\.(images|runtime)$/.test(id))
  return disabled.map((id) => ({
    code: 'CRI_DISABLED',
    severity: 'warning',
    what: `disabled_plugins holds ${id}: the kubelet cannot use this containerd, and no runtime handler counts`,
    fix: `Remove it from disabled_plugins if this is a Kubernetes node.`,
  }))
}

/** From 2.1 on CRI pulls through the transfer service, which unpacks only for what its own table names. */
export const unpackPlatformMissing: Check = ({ config, daemon }) => {
  const transfers = daemon.major > 2 || (daemon.major === 2 && daemon.minor >= 1)
  if (!transfers || config.useLocalImagePull) return []
  const built = daemon.minor >= 3 || daemon.major > 2 ? ['overlayfs', 'erofs'] : ['overlayfs']
  const known = config.unpackPlatforms?.map(({ snapshotter }) => snapshotter) ?? built
  const wanted = new Set([config.snapshotter, ...config.handlers.map(({ pullSnapshotter }) => pullSnapshotter)])
  return [...wanted]
    .filter((name) => !known.includes(name))
    .toSorted()
    .map((name) => ({
      code: 'UNPACK_PLATFORM_MISSING',
      severity: 'error',
      what: `the transfer service has no unpack platform for ${name}: a pull for it fails`,
      fix: `Add [[plugins."io.containerd.transfer.v1.local".unpack_config]] with platform and snapshotter = "${name}" beside those you need, or set use_local_image_pull = true under [${IMAGES}].`,
    }))
}
