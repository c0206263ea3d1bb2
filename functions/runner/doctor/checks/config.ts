/** Checks of what the configuration says: handlers, labels, discarded layers, unpack platforms. */
import type { UnpackPlatform } from '../../../node/containerd-config/config.ts'
import { isAtLeast } from '../../../node/daemon-version.ts'
import { annotationsOffAdvice, handlerIgnoredAdvice } from '../advice.ts'
import type { DaemonFacts } from '../facts.ts'
import { handlersOf, readsCriLabels, snapshottersInUse, type Check } from '../finding.ts'
import { DIFFER, IMAGES, imageSection } from '../names.ts'

/** A pull of containerd 2 does not see the per-runtime snapshotter of a migrated version 2 file (containerd/FACTS.md section 8). */
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

/** containerd 2 drops three settings of a version 2 file that has no runtimes table. */
export const settingsLostByMigration: Check = ({ config }) =>
  config.files
    .filter(({ lost }) => lost.length > 0)
    .map(({ path, lost }) => ({
      code: 'SETTINGS_LOST_BY_MIGRATION',
      severity: 'error',
      what: `${path} states ${lost.join(', ')} in a version 2 section without runtimes: containerd 2 loses them as it migrates the file`,
      fix: `Write the file as version 3 and put them under [${IMAGES}].`,
    }))

/** containerd 1 replaces a plugin's whole section by that of a later file. */
export const sectionReplaced: Check = ({ config }) =>
  config.files
    .filter(({ replaced }) => replaced.some((id) => id === 'cri' || id.endsWith('.cri')))
    .map(({ path }) => ({
      code: 'CRI_SECTION_REPLACED',
      severity: 'warning',
      what: `${path} replaces the CRI section of the files before it whole: what they set there does not count`,
      fix: 'Keep all CRI settings in one file; containerd 1 does not merge the sections.',
    }))

/** CRI sends no labels by default, and remote snapshotters need them. */
export const annotationsOff: Check = (facts) => {
  if (!facts.config.disableSnapshotAnnotations) return []
  const needy = snapshottersInUse(facts).filter((name) => readsCriLabels(name))
  return needy.map((name) =>
    annotationsOffAdvice({ snapshotter: name, who: handlersOf(facts, name), daemon: facts.daemon }),
  )
}

/** containerd 1.6 ignores a runtime handler's snapshotter. */
export const handlerIgnored: Check = ({ config, version }) =>
  config.handlers
    .filter(({ ignored }) => ignored !== undefined)
    .map((handler) => handlerIgnoredAdvice(handler, version))

/** With discard_unpacked_layers, the blobs are gone when another snapshotter needs them. */
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

/** Without CRI no runtime handler has an effect, whatever the files say. */
export const criDisabled: Check = ({ config }) => {
  const disabled = config.disabledPlugins.filter((id) => id === 'cri' || /\.cri$|\.cri\.v1\.(images|runtime)$/.test(id))
  if (disabled.length === 0) return []
  return [
    {
      code: 'CRI_DISABLED',
      severity: 'warning',
      what: `disabled_plugins holds ${disabled.join(', ')}: the kubelet cannot use this containerd, and no runtime handler counts`,
      fix: `Take ${disabled.length === 1 ? 'it' : 'them'} out of disabled_plugins if this is a Kubernetes node.`,
    },
  ]
}

/** From 2.1 on CRI pulls through the transfer service, which unpacks only for the snapshotters in its own table. */
export const unpackPlatformMissing: Check = ({ config, daemon, plugins }) => {
  if (config.useLocalImagePull) return []
  const wanted = new Set([config.snapshotter, ...config.handlers.map(({ pullSnapshotter }) => pullSnapshotter)])
  const known = config.unpackPlatforms ?? builtInPlatforms(daemon, plugins)
  return [...wanted]
    .filter((name) => !known.some(({ snapshotter, platform }) => snapshotter === name && /^linux\b/.test(platform)))
    .toSorted()
    .map((name) => ({
      code: 'UNPACK_PLATFORM_MISSING',
      severity: 'error',
      what: `the transfer service has no unpack platform for ${name}: a pull for it fails`,
      fix: `Add [[plugins."io.containerd.transfer.v1.local".unpack_config]] with platform and snapshotter = "${name}" beside those you need, or set use_local_image_pull = true under [${IMAGES}].`,
    }))
}

/** The daemon's default where there is no `unpack_config`: overlayfs, and erofs from 2.3 on if its differ works. */
function builtInPlatforms(
  daemon: DaemonFacts['daemon'],
  plugins: DaemonFacts['plugins'],
): Pick<UnpackPlatform, 'snapshotter' | 'platform'>[] {
  const knowsErofs = isAtLeast(daemon, '2.3')
  const differ = plugins.some(({ type, id, error }) => type === DIFFER && id === 'erofs' && error === undefined)
  const names = ['overlayfs', ...(knowsErofs && differ ? ['erofs'] : [])]
  return names.map((snapshotter) => ({ snapshotter, platform: 'linux' }))
}
