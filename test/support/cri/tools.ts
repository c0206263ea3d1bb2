/** crictl and critest: what the CRI's own maintainers test runtimes with. */
import { join } from 'node:path'
import { buildTools } from '../containerd/go-build.ts'

const RELEASE = '1.37.0'
const MODULE = 'sigs.k8s.io/cri-tools'

/** Finds crictl and critest; builds them when that takes nothing but Go. */
export async function criTools(): Promise<{ crictl: string; critest: string } | { missing: string }> {
  const stamps = { [`${MODULE}/pkg/version.Version`]: `v${RELEASE}` }
  const built = await buildTools(`cri-tools-${RELEASE}`, stamps, { critest: `${MODULE}/cmd/critest` })
  if ('missing' in built) return built
  return { crictl: join(built.directory, 'crictl'), critest: join(built.directory, 'critest') }
}
