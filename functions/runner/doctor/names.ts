/** Names of containerd's that several checks use. */

/** The plugin type of a differ. */
export const DIFFER = 'io.containerd.differ.v1'
/** The section of CRI's image service in configuration files of version 3 and later. */
export const IMAGES = `plugins."io.containerd.cri.v1.images"`

/** The section with CRI's image settings, for a daemon of this major version. */
export function imageSection(major: number): string {
  return major < 2 ? `plugins."io.containerd.grpc.v1.cri".containerd` : IMAGES
}

/** Where `layercast cri-proxy` listens unless told otherwise. */
export const CRI_PROXY_SOCKET = '/run/layercast/cri.sock'
