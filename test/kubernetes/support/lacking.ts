/** What the tests under a kubelet need. */
import { nydusProgram, programs, type ContainerdVersion } from '../../support/containerd/versions.ts'
import { busybox } from '../../support/images/running.ts'
import { kubernetesPrograms } from '../../support/kubernetes/programs.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

/** What is not there of it; nothing where they can run. */
export async function lacking(version: ContainerdVersion): Promise<string> {
  const found = await Promise.all([programs(version), nydusProgram(), kubernetesPrograms()])
  const missing = found.flatMap((one) => ('missing' in one ? [one.missing] : []))
  if (busybox === undefined) missing.push('busybox is not installed')
  if (!hasMkfsErofs) missing.push('mkfs.erofs is not installed')
  return missing.join('; ')
}
