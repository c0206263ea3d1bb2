/** Checks of the configuration files themselves: imports, versions, whether the daemon accepts them. */
import { wholeVersion } from '../../../node/containerd-config/files.ts'
import { isAtLeast } from '../../../node/daemon-version.ts'
import type { DaemonFacts } from '../facts.ts'
import type { Check } from '../finding.ts'

/** A missing import keeps the daemon from starting. */
export const importMissing: Check = ({ config }) =>
  config.missingImports.map(({ path, importedBy }) => ({
    code: 'IMPORT_MISSING',
    severity: 'error',
    what: `${importedBy} imports ${path}, which is not there: containerd does not start again, and what it had from there is not judged here`,
    fix: 'Put the file back or take it out of imports; a pattern such as conf.d/*.toml may match nothing.',
  }))

/** The highest version of a configuration file that a daemon knows. */
function highestVersion({ daemon }: DaemonFacts): number {
  if (daemon.major < 2) return 2
  return isAtLeast(daemon, '2.3') ? 4 : 3
}

/** The daemon is too old for the version of a file. */
export const versionTooNew: Check = (facts) => {
  const { config, daemon, version } = facts
  const highest = highestVersion(facts)
  // 1.6 reads such a file, and finds nothing under the names that it knows.
  const outcome =
    daemon.major === 1 && !isAtLeast(daemon, '1.7')
      ? 'what it says under newer names does not count'
      : 'containerd does not start again from it'
  return config.files
    .filter((file) => file.version > highest)
    .map((file) => ({
      code: 'CONFIG_VERSION_TOO_NEW',
      severity: 'error',
      what: `${file.path} is of version ${file.version}, and containerd ${version} knows ${highest} at most: ${outcome}`,
      fix: `Write it as version ${highest}, or upgrade containerd.`,
    }))
}

/**
 * The daemon refuses the files as they are now; it still runs from what they said before. Left out where the reason is a missing
 * import or a file's version, which have checks of their own.
 */
export const configRefused: Check = (facts) => {
  const { config, refusal, version } = facts
  const others = [importMissing, versionTooNew, importTooNew].some((check) => check(facts).length > 0)
  const reasons = config.refusals.length > 0 ? config.refusals : refusal !== undefined && !others ? [refusal] : []
  return reasons.map((reason) => ({
    code: 'CONFIG_REFUSED',
    severity: 'error',
    what: `containerd ${version} does not start again from its configuration: ${reason}`,
    fix: 'Mend the file before the daemon is restarted; `containerd config dump` says whether it is right.',
  }))
}

/** The daemon ignores, without a message, a CRI section under a name that has no effect in a file of its version. */
export const sectionPassedOver: Check = ({ config, version, daemon }) =>
  config.files.flatMap(({ path, version: written, passedOver }) =>
    passedOver.map((id) => ({
      code: 'CRI_SECTION_PASSED_OVER',
      severity: 'error',
      what: `${path} is read as version ${written}, and containerd ${version} passes over its section [plugins."${id}"] without a word`,
      fix: passedOverFix(id, written, daemon.major),
    })),
  )

function passedOverFix(id: string, written: number, major: number): string {
  if (major < 2) return `Begin the file with version = 2.`
  return id === 'cri'
    ? `Name the section as \`containerd config dump\` names it, and restart containerd.`
    : `Write it as version ${written} has it: \`containerd config migrate\` shows how.`
}

/** From 2.3 on an imported file may not be of a higher version than the main one. */
export const importTooNew: Check = (facts) => {
  const [main, ...imported] = facts.config.files
  if (main === undefined || highestVersion(facts) < 4) return []
  return imported
    .filter((file) => file.version > main.version)
    .map((file) => ({
      code: 'IMPORT_VERSION_TOO_NEW',
      severity: 'error',
      what: `${file.path} is of version ${file.version}, and ${main.path}, which imports it, of ${main.version}: containerd ${facts.version} does not start again from that`,
      fix: `Give ${main.path} the higher version: \`containerd config migrate\` writes it anew.`,
    }))
}

/** containerd 2.0 to 2.2 takes the version of the last file for that of all. */
export const versionsMixed: Check = ({ config: { files }, daemon, version }) => {
  if (daemon.major !== 2 || isAtLeast(daemon, '2.3') || wholeVersion(files) === 2) return []
  return files
    .filter((file) => file.version < 3)
    .map((file) => ({
      code: 'CONFIG_VERSIONS_MIXED',
      severity: 'warning',
      what: `${file.path} is of version ${file.version}, and containerd ${version} takes all files for version 3: what it says under io.containerd.grpc.v1.cri does not count`,
      fix: 'Write all files as version 3: `containerd config migrate` shows how.',
    }))
}

/** The daemon runs from what the files said when it started. */
export const changedSinceStart: Check = ({ changedFiles }) =>
  changedFiles.map((path) => ({
    code: 'CONFIG_CHANGED_SINCE_START',
    severity: 'warning',
    what: `${path} was changed after containerd was started: the daemon still goes by what it said before`,
    fix: 'Restart containerd, so that what is said here is what it does.',
  }))

/** Neither the user nor the daemon's process tells which file it is. */
export const configAssumed: Check = ({ configFrom, config }) =>
  configFrom === 'default'
    ? [
        {
          code: 'CONFIG_ASSUMED',
          severity: 'note',
          what: `containerd's process cannot be seen from here, so ${config.files.length > 0 ? "its configuration is taken from containerd's usual place" : 'it is taken to run with its built-in settings: there is no configuration in the usual place'}`,
          fix: 'Name the file that it was started with by --containerd-config.',
        },
      ]
    : []
