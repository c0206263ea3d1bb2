/** Names of containerd's that several checks use. */
export const DIFFER = 'io.containerd.differ.v1'
export const IMAGES = `plugins."io.containerd.cri.v1.images"`

/** The section of CRI's image settings, as a daemon of this major version reads it. */
export function imageSection(major: number): string {
  return major < 2 ? `plugins."io.containerd.grpc.v1.cri".containerd` : IMAGES
}
