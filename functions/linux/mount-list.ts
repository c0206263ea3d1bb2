/** A mount as containerd's API describes it (types/mount.proto). */
export interface Mount {
  type: string
  source: string
  /** Where below the mount point; empty for the mount point itself. */
  target: string
  options: readonly string[]
}
