import { afterAll, beforeAll } from 'vitest'
import type { Backend } from '../../../functions/node/ports.ts'
import { contentConformance } from '../../node/conformance/content.ts'
import { imagesConformance } from '../../node/conformance/images.ts'
import { leasesConformance } from '../../node/conformance/leases.ts'
import { snapshotContentConformance } from '../../node/conformance/snapshot-content.ts'
import { snapshotterConformance } from '../../node/conformance/snapshotter.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { isAtLeast } from '../../support/containerd/versions.ts'
import { hasMkfsErofs } from '../../support/mkfs-erofs.ts'

// Without it containerd has no erofs snapshotter.

await describeContainerd('the ports', (version) => {
  let containerd: TestContainerd
  let namespaces = 0

  beforeAll(async () => {
    containerd = await startContainerd({ version })
  })
  afterAll(() => containerd?.stop())

  // A namespace that nobody used yet is a store that holds nothing.
  const open = (): Promise<Backend> => containerd.connect(`fresh-${++namespaces}`)

  for (const name of ['overlayfs', 'native']) {
    snapshotterConformance(open, name)
    snapshotContentConformance(open, name)
  }
  // Its mounts are for containerd's mount manager from 2.2 on, so that the content suite, which mounts, is not for it.
  if (hasMkfsErofs && version.startsWith('2.')) snapshotterConformance(open, 'erofs')
  contentConformance(open, { sha512: isAtLeast(version, '2.3') })
  leasesConformance(open)
  imagesConformance(open)
})
