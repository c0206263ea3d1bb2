/** `layercast repair` and `unpack --repair` with a real containerd. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { CriNode } from '../../runner/runtime-handlers/support/node.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { errorOf } from '../../support/layercast.ts'

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
    const found = await node.run('verify', NAME, '--runtime-handler', handler, '-o', 'json')
    expect(errorOf(found)).toMatchObject({ exit: 5, code: 'VERIFICATION_FAILED' })
    // The fix is a command that can be copied.
    expect(errorOf(found).fix).toContain(`repair ${NAME} --snapshotter ${snapshotter} -n k8s.io'`)
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

  test('what the plan warns of is told as data too, by a dry run, verify and repair', async () => {
    const args = [NAME, '-s', snapshotter, '--profile', 'stargz', '-n', 'k8s.io', '-o', 'json']
    for (const verb of [['unpack', '--dry-run'], ['verify'], ['repair', '--dry-run']]) {
      const report = JSON.parse((await node.run(...verb, ...args)).stdout.toString()) as object
      expect(report).toMatchObject({ reference: NAME, snapshotter, chainID: top })
      expect({ verb, ...report }).toMatchObject({
        verb,
        warnings: expect.arrayContaining([expect.objectContaining({ code: 'ANNOTATION_MISSING' })]) as unknown[],
      })
    }
  })

  test('a snapshotter that is listed and not ready is refused in the daemon’s own words', async () => {
    for (const verb of [['unpack'], ['unpack', '--dry-run'], ['verify'], ['repair']]) {
      const ran = await node.run(...verb, NAME, '-s', 'devmapper', '-n', 'k8s.io', '-o', 'json')
      expect({ verb, status: ran.status, ...errorOf(ran) }).toMatchObject({
        verb,
        status: 1,
        code: 'SNAPSHOTTER_NOT_READY',
        message: expect.stringContaining('devmapper not configured') as string,
      })
    }
    const missing = errorOf(await node.run('unpack', NAME, '-s', 'zfs9', '-n', 'k8s.io', '-o', 'json'))
    expect(missing).toMatchObject({ code: 'SNAPSHOTTER_NOT_FOUND', exit: 3 })
    expect(missing.message).toMatch(/no snapshotter zfs9; ready are .*overlayfs/)
  })

  test('an image that is in the kubelet’s namespace and not in this one is looked for there', async () => {
    const ran = await node.run('unpack', NAME, '-s', snapshotter, '-o', 'json')
    expect(errorOf(ran)).toMatchObject({ code: 'IMAGE_NOT_FOUND', exit: 3 })
    expect(errorOf(ran).message).toContain("containerd's namespace default")
    expect(errorOf(ran).fix).toContain('-n k8s.io')
    const all = await node.run('verify', '--all')
    expect([all.status, all.stdout.toString()]).toEqual([0, 'there are no images in the namespace default\n'])
  })

  test('a tree that cannot be compared is neither right nor wrong', async () => {
    const backend = await node.containerd.connect()
    expect((await node.run('unpack', NAME, '-s', snapshotter, '-n', 'k8s.io', '--repair')).status).toBe(0)
    await backend.content.remove(image.layers[0]?.digest ?? ('' as never))
    for (const args of [
      ['verify', NAME],
      ['verify', '--all'],
      ['repair', NAME],
    ]) {
      const ran = await node.run(...args, '--deep', '-s', snapshotter, '-n', 'k8s.io', '-o', 'json')
      expect({ args, status: ran.status, ...errorOf(ran) }).toMatchObject({
        args,
        status: 3,
        code: 'BLOB_NOT_FOUND',
        detail: { digests: [image.layers[0]?.digest] },
      })
      const report: unknown = JSON.parse(ran.stdout.toString())
      expect({ args, report }).toMatchObject({ args, report: args[1] === '--all' ? [{ ok: null }] : {} })
    }
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
