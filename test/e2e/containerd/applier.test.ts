import { afterAll, beforeAll } from 'vitest'
import type { Applier } from '../../../functions/layer/apply/types.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { applierConformance, own, type ApplierConformance } from '../../node/conformance/applier.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'

const daemons = ({ diffService }: Backend): Applier => {
  if (diffService === undefined) throw new Error('this backend has no diff service')
  return diffService
}

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

  applierConformance(open, 'overlayfs', { choose: daemons, lacks: ['links to lower layers', ...zstd] })
  applierConformance(open, 'native', { choose: daemons, lacks: zstd })
  for (const name of ['overlayfs', 'native']) applierConformance(open, name, { choose: own })
})
