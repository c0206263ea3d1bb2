import { handlersOf, readsCriLabels, snapshottersInUse, type Check } from '../finding.ts'
import type { NodeFacts } from '../facts.ts'

type Numbers = readonly [major: number, minor: number, patch: number]

function compare({ daemon }: NodeFacts, [major, minor, patch]: Numbers): number {
  return daemon.major - major || daemon.minor - minor || daemon.patch - patch
}

/** Whether the daemon's version is between the two, both included. */
function within(facts: NodeFacts, first: Numbers, last: Numbers): boolean {
  return compare(facts, first) >= 0 && compare(facts, last) <= 0
}

/** 2.2.0 to 2.3.4 lose an error of a parallel unpack and call the chain ready (CONTAINERD-FACTS section 2.8). */
export const silentSuccess: Check = (facts) =>
  within(facts, [2, 2, 0], [2, 3, 4])
    ? [
        {
          code: 'VERSION_SILENT_SUCCESS',
          severity: 'warning',
          what: `containerd ${facts.version} can lose an error of a parallel unpack and mark a chain ready that is not there`,
          fix: 'Set max_concurrent_unpacks = 1 under [plugins."io.containerd.transfer.v1.local"], and check with layercast verify --all.',
        },
      ]
    : []

/** 2.2.0 to 2.2.2 apply a layer's whiteouts to an empty directory under overlayfs. */
export const lostWhiteouts: Check = (facts) =>
  within(facts, [2, 2, 0], [2, 2, 2])
    ? [
        {
          code: 'VERSION_LOST_WHITEOUTS',
          severity: 'error',
          what: `containerd ${facts.version} loses whiteouts when it unpacks in parallel under overlayfs: deleted files come back`,
          fix: 'Upgrade to 2.2.3 or later, or set max_concurrent_unpacks = 1; find such chains with layercast verify --all --deep.',
        },
      ]
    : []

/** Before 2.2.2 nothing gives an image's layers their labels under a second snapshotter. */
export const noSecondUnpack: Check = (facts) => {
  const others = snapshottersInUse(facts).filter((name) => name !== facts.config.snapshotter && readsCriLabels(name))
  if (compare(facts, [2, 2, 2]) >= 0 || others.length === 0) return []
  return others.map((name) => ({
    code: 'VERSION_NO_LABELS_AFTER_PULL',
    severity: 'warning',
    what: `containerd ${facts.version} unpacks an image that is already there for ${name} (${handlersOf(facts, name)}) without labels, so pods of it fail or time out`,
    fix: `Run layercast unpack IMAGE --snapshotter ${name} ahead of such pods, or upgrade to 2.2.2 or later.`,
  }))
}

/** `ctr image mount --snapshotter erofs` of an image with several layers takes the daemon down (seen with 2.3.4). */
export const erofsMountPanics: Check = (facts) =>
  within(facts, [2, 3, 0], [2, 3, 4]) && snapshottersInUse(facts).includes('erofs')
    ? [
        {
          code: 'VERSION_EROFS_MOUNT_PANICS',
          severity: 'note',
          what: `\`ctr image mount --snapshotter erofs\` of an image with several layers makes containerd ${facts.version} panic; containers start`,
          fix: 'Do not mount images that way on this version.',
        },
      ]
    : []
