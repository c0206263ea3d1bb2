/** Benchmark: whole unpacks on a real containerd. */
import { access } from 'node:fs/promises'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { removeChain, store } from '../../runner/unpack/support/stores.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { NEWEST, programs } from '../../support/containerd/versions.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { row, type Row } from '../report.ts'
import { interleaved, type Contestant } from '../rounds.ts'
import { imageOfThisMachine } from './image.ts'

const VERSION = NEWEST

const MEMORY = '/dev/shm'

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** Whole unpacks on a real containerd: side by side against one after the other, and against containerd's own. */
export async function benchUnpack(rounds: number): Promise<Row[]> {
  const found = await programs(VERSION)
  if ('missing' in found) {
    console.error(`unpack is left out: containerd ${VERSION} cannot run here: ${found.missing}`)
    return []
  }
  const image = imageOfThisMachine()
  // In memory: on a disk that is slow to sync, all ways take as long as the disk does.
  const containerd = await startContainerd({ version: VERSION, ...((await exists(MEMORY)) && { parent: MEMORY }) })
  try {
    const rows: Row[] = []
    for (const snapshotter of ['overlayfs', ...((await exists('/usr/bin/mkfs.erofs')) ? ['erofs'] : [])]) {
      rows.push(...(await benchSnapshotter(containerd, image, snapshotter, rounds)))
    }
    return rows
  } finally {
    await containerd.stop()
  }
}

async function benchSnapshotter(
  containerd: TestContainerd,
  image: BuiltImage,
  snapshotter: string,
  rounds: number,
): Promise<Row[]> {
  const backend = await containerd.connect()
  await store(backend, image)
  const planned = planOf(image, { snapshotter })
  const before = () => removeChain(backend, image, snapshotter)
  const ours = (applier: 'own' | 'containerd', sequential: boolean): Contestant => ({
    name: `${applier}, ${sequential ? 'one after the other' : 'side by side'}`,
    before,
    run: async () => {
      await unpack({ backend, planned, applier, sequential })
    },
  })
  // containerd's client library, which writes one layer after the other.
  const byCtr = async (manifest: string): Promise<void> => {
    await containerd.ctr('snapshots', '--snapshotter', snapshotter, 'unpack', manifest)
  }
  const medians = await interleaved(
    [
      ours('containerd', false),
      ours('containerd', true),
      ours('own', false),
      ours('own', true),
      // It says that it is done under erofs, and nothing is there.
      ...(snapshotter === 'erofs' ? [] : [{ name: 'ctr', before, run: () => byCtr(image.manifest.digest) }]),
    ],
    rounds,
  )
  await before()

  const ms = (name: string) => medians.get(name) ?? Number.NaN
  const megabytes = Math.round(image.tars.reduce((sum, tar) => sum + tar.length, 0) / 1e6)
  const compare = (work: string, own: string, against: string, peer: string, goal: number | null) =>
    row(
      `unpack ${image.layers.length} layers, ${megabytes} MB, ${snapshotter}: ${work}`,
      against,
      ms(peer) / ms(own),
      goal,
      `${ms(own).toFixed(0)} ms, ${ms(peer).toFixed(0)} ms`,
    )
  const [side, one] = ['side by side', 'one after the other']
  const rows = [
    compare(`containerd's applier, ${side}`, `containerd, ${side}`, one, `containerd, ${one}`, 1),
    compare(`own applier, ${side}`, `own, ${side}`, one, `own, ${one}`, 1),
  ]
  if (!medians.has('ctr')) return rows
  return [
    ...rows,
    compare(`containerd's applier, ${side}`, `containerd, ${side}`, 'ctr snapshots unpack', 'ctr', null),
    compare(`own applier, ${side}`, `own, ${side}`, 'ctr snapshots unpack', 'ctr', null),
  ]
}
