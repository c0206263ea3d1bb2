import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { codes, CriNode, summary, type Entry } from '../../runner/runtime-handlers/support/node.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { NEWEST, nydusProgram, programs } from '../../support/containerd/versions.ts'
import { errorOf } from '../../support/layercast.ts'

const NAME = 'example.com/app:1'
const PAUSE = 'example.com/pause:1'
const OK = [0, '']

const [recent, nydus] = [await programs(NEWEST), await nydusProgram()]
const missing = [recent, nydus].flatMap((found) => ('missing' in found ? [found.missing] : []))
const reason = missing.length === 0 ? '' : ` (skipped: ${missing.join('; ')})`

describe.skipIf(missing.length > 0)(`handlers of several snapshotters on the newest containerd${reason}`, () => {
  const image = smallImage('several')
  let node: CriNode

  beforeAll(async () => {
    node = await CriNode.start({
      version: NEWEST,
      nydus: true,
      cri: {
        handlers: { block: 'devmapper', gone: 'zfs9', kata: 'nydus', lean: 'erofs' },
        sandboxImage: PAUSE,
        annotations: false,
      },
    })
    await node.bring(image, NAME)
    await node.bring(smallImage('pause'), PAUSE)
  })
  afterAll(() => node?.stop())

  test('a snapshotter that is not ready is refused in the daemon’s own words', async () => {
    const ran = await node.run('unpack', NAME, '--runtime-handler', 'block', '-o', 'json')
    expect([ran.status, errorOf(ran).code]).toEqual([1, 'SNAPSHOTTER_NOT_READY'])
    expect(errorOf(ran).message).toMatch(
      /^handler block: snapshotter devmapper is not ready: .*devmapper not configured/u,
    )
    expect(JSON.parse(ran.stdout.toString())).toMatchObject([{ snapshotter: 'devmapper', error: errorOf(ran) }])
  })

  test('one that fails does not keep the others from being made ready, and the worst status counts', async () => {
    const ran = await node.run('unpack', NAME, '--all-handlers', '-o', 'json')
    const entries = JSON.parse(ran.stdout.toString()) as Entry[]
    expect(entries.map(({ snapshotter, role, error }) => [snapshotter, role, error?.code])).toEqual([
      ['devmapper', 'image', 'SNAPSHOTTER_NOT_READY'],
      ['devmapper', 'sandbox', 'SNAPSHOTTER_NOT_READY'],
      ['erofs', 'image', undefined],
      ['erofs', 'sandbox', undefined],
      ['nydus', 'image', undefined],
      ['nydus', 'sandbox', undefined],
      ['overlayfs', 'image', undefined],
      ['overlayfs', 'sandbox', undefined],
      ['zfs9', 'image', 'SNAPSHOTTER_NOT_FOUND'],
      ['zfs9', 'sandbox', 'SNAPSHOTTER_NOT_FOUND'],
    ])
    expect([ran.status, errorOf(ran).code]).toEqual([3, 'SNAPSHOTTER_NOT_FOUND'])
    expect(errorOf(ran).message).toContain('4 of 10 unpacks failed, under devmapper, zfs9')
    // Each with its own fix, where the end of the program has room for one.
    const table = (await node.run('unpack', NAME, '--all-handlers')).stdout.toString()
    for (const { error } of entries) expect(table).toContain(error === undefined ? '' : `fix: ${error.fix}`)
    for (const snapshotter of ['erofs', 'nydus']) {
      expect(await node.verify(NAME, snapshotter)).toEqual(OK)
      expect(await node.verify(PAUSE, snapshotter)).toEqual(OK)
    }
  })

  test('annotations that are off are a warning for the handlers that it matters to, and for no other', async () => {
    const args = ['kata', 'lean', 'runc'].flatMap((name) => ['--runtime-handler', name])
    const entries = await node.entries('unpack', NAME, ...args)
    expect(entries.map((entry) => [entry.snapshotter, codes(entry)])).toEqual([
      ['erofs', []],
      ['nydus', ['ANNOTATIONS_OFF']],
      ['overlayfs', expect.not.arrayContaining(['ANNOTATIONS_OFF'])],
    ])
    const detail = entries[1]?.warnings[0]?.detail ?? ''
    expect(detail).toContain('nydus (handler kata)')
    expect(detail).toContain('Set disable_snapshot_annotations = false under [plugins."io.containerd.cri.v1.images"]')
  })

  test('labels off is refused where a handler cannot do without, before anything is touched', async () => {
    const other = smallImage('several, bare')
    await node.bring(other, 'example.com/several:1')
    const args = ['unpack', 'example.com/several:1', '--labels', 'off', '-o', 'json']
    const ran = await node.run(...args, '--runtime-handler', 'lean', '--runtime-handler', 'kata')
    expect([ran.status, errorOf(ran).code, ran.stdout.toString()]).toEqual([2, 'PLAN_LABEL_REQUIRED', ''])
    expect([...(await node.snapshots('erofs')).keys()]).not.toContain(other.chainIDs[0])
  })

  test('a profile is of one snapshotter', async () => {
    const ran = await node.run('unpack', NAME, '--all-handlers', '--profile', 'stargz', '-o', 'json')
    expect([ran.status, errorOf(ran).code]).toEqual([2, 'USAGE'])
  })
})

describe.skipIf('missing' in recent)('the newest containerd started from drop-ins', () => {
  test('hands out what version 2 and 3 files say together', async () => {
    const node = await CriNode.start({ version: NEWEST, cri: { handlers: { main: 'native' } } })
    try {
      await node.bring(smallImage('drop-ins'), NAME)
      const { directory } = node.containerd
      const config = join(directory, 'config.toml')
      await mkdir(join(directory, 'conf.d'))
      await writeFile(config, `imports = ["conf.d/*.toml"]\n${await readFile(config, 'utf8')}`)
      const old = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes'
      const now = 'plugins."io.containerd.cri.v1.runtime".containerd.runtimes'
      const runc = 'runtime_type = "io.containerd.runc.v2"\nsnapshotter'
      await writeFile(join(directory, 'conf.d', '1.toml'), `version = 2\n[${old}.old]\n${runc} = "native"\n`)
      await writeFile(join(directory, 'conf.d', '2.toml'), `version = 3\n[${now}.main]\nsnapshotter = "erofs"\n`)
      await node.containerd.kill()
      await node.containerd.start()
      expect(summary(await node.entries('unpack', NAME, '--all-handlers', '--dry-run'))).toEqual([
        ['erofs', 'main', 'image', NAME],
        ['native', 'old', 'image', NAME],
        ['overlayfs', 'runc', 'image', NAME],
      ])
    } finally {
      await node.stop()
    }
  })
})
