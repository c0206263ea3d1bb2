/** The containerd namespace of CRI: of the images and containers of the kubelet. */
export const CRI_NAMESPACE = 'k8s.io'
