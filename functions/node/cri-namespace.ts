/** CRI's images, and so the kubelet's and those of runtime handlers, are in this namespace of containerd's. */
export const CRI_NAMESPACE = 'k8s.io'
