/** What a check is and gives, and what several checks ask of the facts. */
import { isAtLeast } from '../../node/daemon-version.ts'
import { PROFILES } from '../../plan/profiles.ts'
import type { DaemonFacts } from './facts.ts'

/** An `error` stops pods, a `warning` may, a `note` is only information. */
export type Severity = 'error' | 'warning' | 'note'

export interface Finding {
  /** Stable: scripts compare it. */
  code: string
  severity: Severity
  /** What is wrong, with the values in it. */
  what: string
  /** What to change. */
  fix: string
}

/** Looks at one thing. Gives one finding for each place where it is wrong, and none where it is right. */
export type Check = (facts: DaemonFacts) => Finding[]

/**
 * The parts of this daemon that unpack in parallel mode, for a sentence; undefined where none does. A pull does from 2.2 on if the
 * transfer service is configured so. CreateContainer always does, from 2.2.2 on, since it sends labels.
 */
export function parallelUnpackers(facts: DaemonFacts): string | undefined {
  if (!isAtLeast(facts.daemon, '2.2')) return undefined
  const { maxConcurrentUnpacks: unpacks, useLocalImagePull } = facts.config
  const pulls = unpacks > 1 && !useLocalImagePull ? [`pulls (max_concurrent_unpacks = ${unpacks})`] : []
  const create = isAtLeast(facts.daemon, '2.2.2') ? ['CreateContainer, for an image that is not unpacked yet'] : []
  return [...pulls, ...create].join(' and ') || undefined
}

export interface LabelledUnpack {
  byContainerd: boolean
  /** For a person. */
  why: string
}

/** Whether containerd itself unpacks an image of the node with labels for a second snapshotter, and why or why not. */
export function labelledUnpack(facts: Pick<DaemonFacts, 'daemon' | 'version' | 'config'>): LabelledUnpack {
  if (!isAtLeast(facts.daemon, '2.2.2')) {
    return {
      byContainerd: false,
      why: `containerd ${facts.version} has none in CreateContainer, as 2.2.2 and later have`,
    }
  }
  if (facts.config.disableSnapshotAnnotations) {
    return {
      byContainerd: false,
      why: 'disable_snapshot_annotations is true, so CreateContainer unpacks without labels',
    }
  }
  return { byContainerd: true, why: 'CreateContainer makes one inside its time limit, and fetches nothing' }
}

export interface CriProxyAdvice {
  /** Whether pods here need `layercast cri-proxy` for images that were not made ready ahead of them. */
  needed: boolean
  /** For a person. */
  why: string
  /** The socket at which one serves; absent where none does at the usual place. */
  socket?: string
}

/** Whether a CRI proxy is needed on this node, and whether one is in the way. */
export function criProxyAdvice(facts: DaemonFacts): CriProxyAdvice {
  const { byContainerd, why } = labelledUnpack(facts)
  const others = snapshottersInUse(facts).filter((name) => name !== facts.config.snapshotter)
  const socket = facts.criProxy === undefined ? {} : { socket: facts.criProxy }
  if (others.length === 0)
    return { needed: false, why: "every runtime handler uses CRI's default snapshotter", ...socket }
  if (byContainerd) return { needed: false, why: 'containerd itself unpacks with labels in CreateContainer', ...socket }
  return { needed: true, why: `handlers use ${others.join(', ')}, and ${why}`, ...socket }
}

const SNAPSHOTTER = 'io.containerd.snapshotter.v1'

/** The snapshotters that CRI uses here: the default one and those of the runtime handlers. */
export function snapshottersInUse({ config }: DaemonFacts): string[] {
  return [...new Set([config.snapshotter, ...config.handlers.map(({ snapshotter }) => snapshotter)])].toSorted()
}

/** The runtime handlers that use a snapshotter, for a sentence: `handlers kata, gvisor`. */
export function handlersOf({ config }: DaemonFacts, snapshotter: string): string {
  const names = config.handlers.filter((handler) => handler.snapshotter === snapshotter).map(({ name }) => name)
  if (names.length === 0) return "CRI's default"
  return `${names.length === 1 ? 'handler' : 'handlers'} ${names.join(', ')}`
}

export function snapshotterPlugins({ plugins }: DaemonFacts): { id: string; error?: string }[] {
  return plugins.filter(({ type }) => type === SNAPSHOTTER)
}

const CRI_LABEL = /\/cri\./

/** Whether a snapshotter of this name reads labels that only CRI and layercast send (containerd/FACTS.md section 4). */
export function readsCriLabels(snapshotter: string): boolean {
  const profile = PROFILES.find(({ snapshotters }) => snapshotters.includes(snapshotter))
  return profile !== undefined && [...profile.requires, ...profile.reads].some((label) => CRI_LABEL.test(label))
}
