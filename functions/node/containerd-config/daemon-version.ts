/** The daemon that reads the files; its rules differ by version. */
export interface DaemonVersion {
  major: number
  minor: number
}
