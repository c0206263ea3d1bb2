/** The version of a containerd daemon: its rules and its faults differ by it. */

export interface DaemonVersion {
  major: number
  minor: number
  patch: number
}

/** The numbers of a version as the daemon says it (`v2.3.4`, `1.6.20~ds1`); zeros where it says none. */
export function parseDaemonVersion(text: string): DaemonVersion {
  const [, major = '0', minor = '0', patch = '0'] = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text) ?? []
  return { major: Number(major), minor: Number(minor), patch: Number(patch) }
}

/** Whether a version is the other one or a later one. */
export function isAtLeast(
  version: DaemonVersion,
  other: `${number}.${number}` | `${number}.${number}.${number}`,
): boolean {
  const { major, minor, patch } = parseDaemonVersion(other)
  return (version.major - major || version.minor - minor || version.patch - patch) >= 0
}
