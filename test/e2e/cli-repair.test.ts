import { afterAll, beforeAll, expect, test } from 'vitest'
import { CriNode } from '../runner/handlers/support/node.ts'
import { smallImage } from '../runner/unpack/support/images.ts'
import { describeContainerd } from '../support/containerd/index.ts'

const NAME = 'example.com/mended:1'
const REF = 'containerd.io/snapshot/cri.image-ref'

await describeContainerd('repairing by the program', (version) => {
  // containerd 1.6 has one snapshotter for all handlers.
  const handler = version === '1.6' ? 'runc' : 'copy'
  const snapshotter = version === '1.6' ? 'overlayfs' : 'native'
  const image = smallImage(`mended ${version}`)
  const top = image.chainIDs.at(-1) ?? ''
  let node: CriNode

  beforeAll(async () => {
    node = await CriNode.start({ version, cri: { handlers: { copy: 'native' } } })
    await node.bring(image, NAME)
  })
  afterAll(() => node?.stop())

  const damage = () => node.containerd.ctr('snapshots', '--snapshotter', snapshotter, 'label', top, `${REF}=damaged`)
  const label = async () => (await node.snapshots(snapshotter)).get(top)?.[REF]

  test('unpack --repair makes what is not there', async () => {
    const ran = await node.run('unpack', NAME, '--runtime-handler', handler, '--repair')
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    expect(await label()).toBe(NAME)
    expect(await node.verify(NAME, snapshotter)).toEqual([0, ''])
  })

  test('verify for a handler finds a damaged label, and repair for it mends that', async () => {
    await damage()
    expect((await node.run('verify', NAME, '--runtime-handler', handler)).status).toBe(5)
    const dry = await node.run('repair', NAME, '--runtime-handler', handler, '--dry-run')
    expect([dry.status, await label()]).toEqual([0, 'damaged'])
    expect((await node.run('repair', NAME, '--runtime-handler', handler)).status).toBe(0)
    expect(await label()).toBe(NAME)
    expect((await node.run('verify', '--all', '--runtime-handler', handler)).status).toBe(0)
  })

  test('a plain unpack leaves a damaged label, and says so; with --repair it does not', async () => {
    await damage()
    const plain = await node.run('unpack', NAME, '-s', snapshotter, '-n', 'k8s.io', '-o', 'json')
    expect(JSON.parse(plain.stdout.toString())).toMatchObject({ warnings: [{ code: 'LABELS_DIFFER' }] })
    expect(await label()).toBe('damaged')
    expect((await node.run('unpack', NAME, '-s', snapshotter, '-n', 'k8s.io', '--repair')).status).toBe(0)
    expect(await label()).toBe(NAME)
  })

  test.each([
    ['all handlers', ['--all-handlers']],
    ['two handlers', ['--runtime-handler', 'runc', '--runtime-handler', 'copy']],
  ])('--repair for %s is refused, and changes nothing', async (_, args) => {
    await damage()
    const ran = await node.run('unpack', NAME, ...args, '--repair')
    expect([ran.status, ran.stderr]).toEqual([2, expect.stringContaining('(USAGE)')])
    expect(await label()).toBe('damaged')
  })
})
