/** The programs of a Kubernetes node and its control plane. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { buildTools } from '../containerd/go-build.ts'

const RELEASE = '1.34.4'
const ETCD = '/usr/bin/etcd'

export interface KubernetesPrograms {
  etcd: string
  apiServer: string
  kubelet: string
}

/** Finds them; builds Kubernetes' own, which takes 10 to 25 minutes where nothing of it is in Go's cache. */
export async function kubernetesPrograms(): Promise<KubernetesPrograms | { missing: string }> {
  const hasEtcd = await access(ETCD).then(
    () => true,
    () => false,
  )
  if (!hasEtcd) {
    return { missing: 'etcd is not installed (LAYERCAST_TEST_KUBERNETES=1 test/support/install-test-tools.sh does it)' }
  }
  const [major = '', minor = ''] = RELEASE.split('.')
  // The API server derives which APIs it serves from its own version.
  const version = 'k8s.io/component-base/version'
  const built = await buildTools(`../kubernetes/kubernetes-${RELEASE}`, {
    [`${version}.gitMajor`]: major,
    [`${version}.gitMinor`]: minor,
    [`${version}.gitVersion`]: `v${RELEASE}`,
  })
  if ('missing' in built) return built
  return { etcd: ETCD, apiServer: join(built.directory, 'kube-apiserver'), kubelet: join(built.directory, 'kubelet') }
}
