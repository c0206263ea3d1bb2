import { isAtLeast } from '../../node/daemon-version.ts'
import { PROFILES } from '../../plan/profiles.ts'
import type { NodeFacts } from './facts.ts'

/** How much a finding bites: an error stops pods, a warning may, a note is good to know. */
export type Severity = 'error' | 'warning' | 'note'

export interface Finding {
  /** Stable. */
  code: string
  severity: Severity
  /** What is wrong, with the values in it. */
  what: string
  /** What to change. */
  fix: string
}

/** One thing that is looked at. */
export type Check = (facts: NodeFacts) => Finding[]

/**
 * Who of the daemon unpacks in parallel mode, for a sentence; undefined where nobody does. Pulls do from 2.2 on and only
 * where the transfer service is told to; CreateContainer always does since it sends labels (2.2.2).
 */
export function parallelUnpackers(facts: NodeFacts): string | undefined {
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

/** Whether containerd itself unpacks an image that is there for a second snapshotter with its labels, and why (not). */
export function labelledUnpack(facts: Pick<NodeFacts, 'daemon' | 'version' | 'config'>): LabelledUnpack {
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

const SNAPSHOTTER = 'io.containerd.snapshotter.v1'

/** The snapshotters that CRI uses here: the default one and the handlers'. */
export function snapshottersInUse({ config }: NodeFacts): string[] {
  return [...new Set([config.snapshotter, ...config.handlers.map(({ snapshotter }) => snapshotter)])].toSorted()
}

/** The handlers that go to a snapshotter, for a sentence: `handlers kata, gvisor`. */
export function handlersOf({ config }: NodeFacts, snapshotter: string): string {
  const names = config.handlers.filter((handler) => handler.snapshotter === snapshotter).map(({ name }) => name)
  if (names.length === 0) return "CRI's default"
  return `${names.length === 1 ? 'handler' : 'handlers'} ${names.join(', ')}`
}

export function snapshotterPlugins({ plugins }: NodeFacts): { id: string; error?: string }[] {
  return plugins.filter(({ type }) => type === SNAPSHOTTER)
}

const CRI_LABEL = /\/cri\./

/** Whether a snapshotter of this name reads labels that only CRI, or layercast, sends (containerd/FACTS.md section 4). */
export function readsCriLabels(snapshotter: string): boolean {
  const profile = PROFILES.find(({ snapshotters }) => snapshotters.includes(snapshotter))
  return profile !== undefined && [...profile.requires, ...profile.reads].some((label) => CRI_LABEL.test(label))
}
