/** `layercast doctor`: the checks of a node's containerd and its configuration, and what they find, each with its fix. */

import * as config from './checks/config.ts'
import * as files from './checks/files.ts'
import * as snapshotters from './checks/snapshotters.ts'
import * as versions from './checks/versions.ts'
import type { DaemonFacts } from './facts.ts'
import type { Check, Finding, Severity } from './finding.ts'

const CHECKS: readonly Check[] = [
  files.configAssumed,
  files.changedSinceStart,
  files.importMissing,
  files.configRefused,
  files.sectionPassedOver,
  files.versionTooNew,
  files.importTooNew,
  files.versionsMixed,
  snapshotters.criNotReady,
  snapshotters.snapshotterMissing,
  snapshotters.snapshotterNotReady,
  snapshotters.proxySocketDead,
  snapshotters.erofsWithoutDiffer,
  snapshotters.erofsDifferUnused,
  config.criDisabled,
  config.settingsLostByMigration,
  config.handlerLostByMigration,
  config.handlerIgnored,
  config.sectionReplaced,
  config.unpackPlatformMissing,
  config.annotationsOff,
  config.discardOn,
  versions.lostWhiteouts,
  versions.silentSuccess,
  versions.noSecondUnpack,
  versions.erofsMountPanics,
]

const ORDER: Record<Severity, number> = { error: 0, warning: 1, note: 2 }

/** Runs every check. Findings that stop pods come first. */
export function diagnose(facts: DaemonFacts): Finding[] {
  return CHECKS.flatMap((check) => check(facts)).toSorted((a, b) => ORDER[a.severity] - ORDER[b.severity])
}
