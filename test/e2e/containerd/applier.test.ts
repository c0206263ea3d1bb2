import { afterAll, beforeAll } from 'vitest'
import { createApplier } from '../../../functions/layer/apply/applier.ts'
import type { Applier } from '../../../functions/layer/apply/types.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { applierConformance, type ApplierConformance } from '../../node/conformance/applier.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'

const own = ({ content }: Backend): Applier => createApplier({ read: ({ digest }) => content.read(digest) })

await describeContainerd('the appliers', (version) => {
  let containerd: TestContainerd
  let namespaces = 0

  beforeAll(async () => {
    containerd = await startContainerd({ version })
  })
  afterAll(() => containerd?.stop())

  // A namespace that nobody used yet is a store that holds nothing.
  const open = (): Promise<Backend> => containerd.connect(`applier-${++namespaces}`)
  const zstd: ApplierConformance['lacks'] = version.startsWith('1.') ? ['docker zstd'] : []

  applierConformance(open, 'overlayfs', { lacks: ['links to lower layers', ...zstd] })
  applierConformance(open, 'native', { lacks: zstd })
  for (const name of ['overlayfs', 'native']) applierConformance(open, name, { choose: own })
})
