import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { codes, CriNode, summary } from '../../runner/runtime-handlers/support/node.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { programs } from '../../support/containerd/versions.ts'
import { errorOf, LAUNCHER, layercast } from '../../support/layercast.ts'

const NAME = 'example.com/app:1'
const PAUSE = 'example.com/pause:1'
const OK = [0, '']
const CRI = 'containerd.io/snapshot/cri.'

await describeContainerd('an unpack for runtime handlers', (version) => {
  // containerd 1.6 has one snapshotter for all handlers.
  const each = version !== '1.6'
  const second = each ? 'native' : 'overlayfs'
  const image = smallImage(`handlers ${version}`)
  const pause = smallImage(`pause ${version}`)
  let node: CriNode

  beforeAll(async () => {
    node = await CriNode.start({ version, cri: { handlers: { copy: 'native' }, sandboxImage: PAUSE } })
    await node.bring(image, NAME)
  })
  afterAll(() => node?.stop())

  test('a dry run finds the configuration that the daemon was started with, and changes nothing', async () => {
    const [entry, ...others] = await node.entries('unpack', NAME, '--runtime-handler', 'copy', '--dry-run')
    expect(others).toEqual([])
    expect(entry).toMatchObject({ snapshotter: second, handlers: ['copy'], role: 'image', reference: NAME })
    // What ctr has unpacked for overlayfs has no labels.
    const state = each ? 'missing' : 'differs'
    expect(entry?.layers?.map(({ snapshot }) => snapshot)).toEqual(image.layers.map(() => state))
    expect(await node.snapshots('native')).toEqual(new Map())
  })

  test('the handler is made ready under its snapshotter, in the namespace of CRI, with its labels', async () => {
    const [entry] = await node.entries('unpack', NAME, '--runtime-handler', 'copy')
    expect(entry).toMatchObject({ snapshotter: second, handlers: ['copy'] })
    expect(entry && codes(entry).includes('HANDLER_SNAPSHOTTER_IGNORED')).toBe(!each)
    if (!each) return
    expect(await node.verify(NAME, 'native')).toEqual(OK)
    const labels = (await node.snapshots('native')).get(image.chainIDs[0] ?? '')
    expect(labels?.[`${CRI}image-ref`]).toBe(NAME)
  })

  test('handlers of one snapshotter are one entry, however often they are named', async () => {
    const names = ['copy', 'runc', 'copy'].flatMap((name) => ['--runtime-handler', name])
    expect(summary(await node.entries('unpack', NAME, ...names))).toEqual(
      each
        ? [
            ['native', 'copy', 'image', NAME],
            ['overlayfs', 'runc', 'image', NAME],
          ]
        : [['overlayfs', 'copy runc', 'image', NAME]],
    )
  })

  test('a plan for a handler is that of its snapshotter', async () => {
    const plan = async (...args: string[]): Promise<string> =>
      (await node.run('plan', NAME, '-o', 'json', '-n', 'k8s.io', ...args)).stdout.toString()
    const planned = await plan('--runtime-handler', 'copy')
    expect(JSON.parse(planned)).toMatchObject({ snapshotter: second, reference: NAME })
    expect(planned).toBe(await plan('-s', second))
  })

  test('a pause image that is not on the node is a warning that names it', async () => {
    for (const entry of await node.entries('unpack', NAME, '--all-handlers')) {
      expect(entry.warnings.find(({ code }) => code === 'SANDBOX_IMAGE_MISSING')?.detail).toContain(PAUSE)
    }
  })

  test('all handlers come with the pause image, and the table has them by snapshotter', async () => {
    await node.bring(pause, PAUSE)
    const entries = await node.entries('unpack', NAME, '--all-handlers')
    const wanted = each ? ['native', 'overlayfs'] : ['overlayfs']
    expect(entries.map(({ snapshotter, role, reference }) => [snapshotter, role, reference])).toEqual(
      wanted.flatMap((snapshotter) => [
        [snapshotter, 'image', NAME],
        [snapshotter, 'sandbox', PAUSE],
      ]),
    )
    expect(each ? await node.verify(PAUSE, 'native') : OK).toEqual(OK)
    const table = await node.run('unpack', NAME, '--all-handlers')
    expect([table.status, table.stderr]).toEqual(OK)
    const heads = table.stdout.toString().match(/^\S+: handlers? .*$/gmu)
    expect(heads).toEqual(
      each ? ['native: handler copy', 'overlayfs: handler runc'] : ['overlayfs: handlers copy, runc'],
    )
    // Asked for by its own name, the pause image is not there twice.
    expect((await node.entries('unpack', PAUSE, '--all-handlers')).map(({ role }) => role)).toEqual(
      wanted.map(() => 'image'),
    )
  })

  test('labels off leaves the cri labels away', async () => {
    const bare = smallImage(`bare ${version}`)
    await node.bring(bare, 'example.com/bare:1')
    const backend = await node.containerd.connect()
    await node.entries('unpack', 'example.com/bare:1', '--runtime-handler', 'copy', '--labels', 'off')
    const { labels } = await backend.snapshotter(second).stat(bare.chainIDs.at(-1) ?? '')
    expect(Object.keys(labels).filter((key) => key.startsWith(CRI))).toEqual([])
  })

  test('an image from an archive is imported once and made ready', async () => {
    const name = 'example.com/archived:1'
    const file = await node.archive(smallImage(`archived ${version}`), name)
    const args = ['unpack', `oci-archive:${file}`, '--reference', name, '--all-handlers']
    expect((await node.entries(...args)).filter(({ role }) => role === 'image').length).toBe(each ? 2 : 1)
    expect(await node.verify(name, second)).toEqual(OK)
  })

  test('an imported image needs no network: nothing dials out', async () => {
    await node.bring(smallImage(`air ${version}`), 'example.com/air:1')
    const offline = join(node.containerd.directory, 'offline.sh')
    await writeFile(offline, `#!/bin/sh\nexec unshare --net ${LAUNCHER} "$@"\n`, { mode: 0o755 })
    const config = join(node.containerd.directory, 'config.toml')
    const args = ['unpack', 'example.com/air:1', '--all-handlers', '--containerd-config', config]
    const ran = await layercast(args, {
      launcher: offline,
      env: { CONTAINERD_ADDRESS: node.containerd.address },
    })
    expect([ran.status, ran.stderr]).toEqual(OK)
    // What ctr has unpacked for overlayfs has no labels.
    expect(each ? await node.verify('example.com/air:1', 'native') : OK).toEqual(OK)
  })

  test('a handler that is not there is refused with those that are, and nothing changes', async () => {
    const before = await node.snapshots('native')
    const ran = await node.run('unpack', NAME, '--runtime-handler', 'kata', '--runtime-handler', 'copy', '-o', 'json')
    expect([ran.status, ran.stdout.toString()]).toEqual([3, ''])
    expect(errorOf(ran)).toMatchObject({ code: 'HANDLER_NOT_FOUND', detail: { known: ['copy', 'runc'] } })
    expect(errorOf(ran).fix).toContain('copy, runc')
    expect(await node.snapshots('native')).toEqual(before)
  })

  test('a named namespace is taken at its word', async () => {
    const ran = await node.run('unpack', NAME, '--all-handlers', '-n', 'elsewhere', '-o', 'json')
    expect([ran.status, errorOf(ran).code]).toEqual([3, 'IMAGE_NOT_FOUND'])
  })

  test('files beside the running one are read when they are named, drop-ins and all', async () => {
    const directory = join(node.containerd.directory, 'other')
    await mkdir(join(directory, 'conf.d'), { recursive: true })
    const file = join(directory, 'config.toml')
    await writeFile(file, `version = 2\nimports = ["${directory}/conf.d/*.toml"]\n`)
    const runtimes = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes'
    await writeFile(join(directory, 'conf.d', 'a.toml'), `version = 2\n[${runtimes}.late]\nsnapshotter = "native"\n`)
    const args = ['unpack', NAME, '--runtime-handler', 'late', '--containerd-config', file]
    const [entry] = await node.entries(...args)
    expect(entry).toMatchObject({ snapshotter: second, handlers: ['late'] })

    await writeFile(file, `version = 2\nimports = ["gone.toml"]\n`)
    const ran = await node.run(...args, '-o', 'json')
    expect([ran.status, errorOf(ran).code]).toEqual([3, 'FILE_NOT_FOUND'])
    expect(errorOf(ran).message).toContain('gone.toml')
  })
})

await describeContainerd('the pause image that no configuration names', (version) => {
  let node: CriNode
  beforeAll(async () => {
    node = await CriNode.start({ version, cri: {} })
    await node.bring(smallImage(`default ${version}`), NAME)
  })
  afterAll(() => node?.stop())

  test('is the daemon’s own: missing at first, and made ready once it is there', async () => {
    const [before, ...others] = await node.entries('unpack', NAME, '--all-handlers')
    expect(others).toEqual([])
    expect(before && codes(before)).toContain('SANDBOX_IMAGE_MISSING')

    const name = await defaultPauseImage(version)
    await node.bring(smallImage(`default pause ${version}`), name)
    // From 2.0 on CRI marks it, as soon as it has heard of it.
    await expect
      .poll(async () => summary(await node.entries('unpack', NAME, '--all-handlers')), { timeout: 30_000 })
      .toEqual([
        ['overlayfs', 'runc', 'image', NAME],
        ['overlayfs', 'runc', 'sandbox', name],
      ])
  })
})

async function defaultPauseImage(version: Parameters<typeof programs>[0]): Promise<string> {
  const found = await programs(version)
  if ('missing' in found) throw new Error(found.missing)
  const text = execFileSync(found.containerd, ['config', 'default']).toString()
  const [, name] = /^\s*sandbox(?:_image)? = ['"](\S+)['"]$/mu.exec(text) ?? []
  if (name === undefined) throw new Error('the default configuration names no pause image')
  return name
}
