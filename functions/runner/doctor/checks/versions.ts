/** Checks of the daemon's version: faults of containerd that came with one version and were mended in another. */
import { isAtLeast } from '../../../node/daemon-version.ts'
import type { DaemonFacts } from '../facts.ts'
import {
  handlersOf,
  parallelUnpackers,
  readsCriLabels,
  snapshottersInUse,
  type Check,
  type Severity,
} from '../finding.ts'

type Version = Parameters<typeof isAtLeast>[1]

/** Whether the daemon has a fault that came with version `first` and was mended in version `mended`. */
function isBetween({ daemon }: DaemonFacts, first: Version, mended: Version): boolean {
  return isAtLeast(daemon, first) && !isAtLeast(daemon, mended)
}

const SEQUENTIAL = 'Leave max_concurrent_unpacks under [plugins."io.containerd.transfer.v1.local"] at 1'

/** A fault of parallel mode: of the given severity where this daemon uses that mode, and otherwise a note. */
function ofParallelMode(facts: DaemonFacts, severity: Severity): { severity: Severity; who: string; fix: string } {
  const who = parallelUnpackers(facts)
  if (who === undefined) return { severity: 'note', who: 'nobody here', fix: `${SEQUENTIAL}.` }
  return {
    severity,
    who,
    fix: `${SEQUENTIAL}, and make images ready with layercast unpack before their pods start`,
  }
}

/** From 2.2.0, before 2.4.0: an error in parallel mode is lost, and the chain counts as ready (containerd/FACTS.md section 2, step 8). */
export const silentSuccess: Check = (facts) => {
  if (!isBetween(facts, '2.2', '2.4')) return []
  const { severity, who, fix } = ofParallelMode(facts, 'warning')
  return [
    {
      code: 'VERSION_SILENT_SUCCESS',
      severity,
      what: `containerd ${facts.version} can lose an error in its parallel mode and mark a chain ready that is not there; in that mode unpacks: ${who}`,
      fix: severity === 'note' ? fix : `${fix}; check what is there with layercast verify --all.`,
    },
  ]
}

/** 2.2.0 to 2.2.2: parallel mode under overlayfs applies a layer's whiteouts to an empty directory. */
export const lostWhiteouts: Check = (facts) => {
  if (!isBetween(facts, '2.2', '2.2.3')) return []
  const { severity, who, fix } = ofParallelMode(facts, 'error')
  return [
    {
      code: 'VERSION_LOST_WHITEOUTS',
      severity,
      what: `containerd ${facts.version} loses whiteouts in its parallel mode under overlayfs, so deleted files come back; in that mode unpacks: ${who}`,
      fix:
        severity === 'note'
          ? fix
          : `Upgrade to 2.2.3 or later. Until then: ${fix}; find such chains with layercast verify --all --deep.`,
    },
  ]
}

/** Before 2.2.2: containerd unpacks an image without labels for a second snapshotter. */
export const noSecondUnpack: Check = (facts) => {
  const others = snapshottersInUse(facts).filter((name) => name !== facts.config.snapshotter && readsCriLabels(name))
  if (isAtLeast(facts.daemon, '2.2.2') || others.length === 0) return []
  return others.map((name) => ({
    code: 'VERSION_NO_LABELS_AFTER_PULL',
    severity: 'warning',
    what: `containerd ${facts.version} unpacks an image that is already there for ${name} (${handlersOf(facts, name)}) without labels, so pods of it fail or time out`,
    fix: `Run layercast cri-proxy before the kubelet, or layercast unpack IMAGE --snapshotter ${name} ahead of such pods, or upgrade to 2.2.2 or later.`,
  }))
}

/** From 2.3.0, before 2.4.0: `ctr image mount --snapshotter erofs` of an image with several layers makes the daemon panic. */
export const erofsMountPanics: Check = (facts) =>
  isBetween(facts, '2.3', '2.4') && snapshottersInUse(facts).includes('erofs')
    ? [
        {
          code: 'VERSION_EROFS_MOUNT_PANICS',
          severity: 'note',
          what: `\`ctr image mount --snapshotter erofs\` of an image with several layers makes containerd ${facts.version} panic; containers start`,
          fix: 'Do not mount images that way on this version.',
        },
      ]
    : []
