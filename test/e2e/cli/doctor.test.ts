/** `layercast doctor` on real daemons. */

import { execFile } from 'node:child_process'
import { readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import type { Finding } from '../../../functions/runner/doctor/finding.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type StartOptions, type TestContainerd } from '../../support/containerd/start.ts'
import { isAtLeast, NEWEST, programs } from '../../support/containerd/versions.ts'
import { errorOf, layercast, type Ran } from '../../support/layercast.ts'

const HOUR = 3_600_000

let daemon: TestContainerd | undefined
afterEach(async () => {
  await daemon?.stop()
  daemon = undefined
})

async function start(options: StartOptions): Promise<TestContainerd> {
  daemon = await startContainerd(options)
  return daemon
}

const doctor = ({ address }: TestContainerd, ...args: string[]): Promise<Ran> =>
  layercast(['doctor', ...args], { env: { CONTAINERD_ADDRESS: address } })

/** The findings of a run by their code, and its exit status. */
async function findings(node: TestContainerd, ...args: string[]) {
  const ran = await doctor(node, ...args, '-o', 'json')
  const report = JSON.parse(ran.stdout.toString()) as {
    containerd: string
    files: { path: string; version: number }[]
    labelledUnpack: { byContainerd: boolean; why: string }
    findings: Finding[]
  }
  return { ...report, status: ran.status, ran, found: new Map(report.findings.map((one) => [one.code, one])) }
}

await describeContainerd('doctor', (version) => {
  test('reads what the daemon was started with, and fails only for what stops pods', async () => {
    const node = await start({ version, cri: {} })
    const { status, files, containerd, labelledUnpack, findings: list } = await findings(node)
    expect(files).toEqual([{ path: join(node.directory, 'config.toml'), version: version.startsWith('1.') ? 2 : 3 }])
    expect(containerd).toMatch(new RegExp(`^v?${version.replace('.', '\\.')}`, 'u'))
    expect(list.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(status).toBe(0)
    // Annotations are on here, and CreateContainer labels what it unpacks from 2.2.2 on.
    expect(labelledUnpack.byContainerd).toBe(isAtLeast(version, '2.2'))

    const table = await doctor(node)
    expect([table.status, table.stderr]).toEqual([0, ''])
    const text = table.stdout.toString()
    expect(text).toContain(`configured by ${join(node.directory, 'config.toml')}`)
    for (const { code, what, fix } of list) {
      for (const part of [code, what, `fix: ${fix}`]) expect(text).toContain(part)
    }
  })

  test('fails with status 5 for a proxy plugin behind whose socket nobody is', async () => {
    const node = await start({ version, proxies: { nydus: '/run/layercast-nobody.sock' } })
    const { status, found, ran } = await findings(node)
    expect(found.get('PROXY_SOCKET_DEAD')).toMatchObject({
      severity: 'error',
      what: expect.stringContaining('/run/layercast-nobody.sock'),
    })
    expect(found.get('CRI_DISABLED')?.what).toContain('io.containerd.grpc.v1.cri')
    expect(status).toBe(5)
    expect(errorOf(ran)).toMatchObject({
      code: 'VERIFICATION_FAILED',
      detail: { codes: expect.arrayContaining(['PROXY_SOCKET_DEAD']) },
    })
    const table = await doctor(node)
    expect(table.status).toBe(5)
    expect(table.stdout.toString()).toMatch(/^error {4}PROXY_SOCKET_DEAD$/mu)
    expect(table.stderr).toContain('will stop pods on this node (VERIFICATION_FAILED)')
  })

  test('sees a proxy plugin without an address', async () => {
    const { found, status } = await findings(await start({ version, proxies: { nydus: '' } }))
    expect(found.get('PROXY_SOCKET_DEAD')?.what).toContain('gives it no address')
    expect(status).toBe(5)
  })

  test('says when the daemon would not start again from its file, in its own words', async () => {
    const node = await start({ version, cri: {} })
    const config = join(node.directory, 'config.toml')
    const text = await readFile(config, 'utf8')
    await writeFile(config, text.replace('[grpc]', 'oom_score = "none"\n[grpc]'))
    const { found, status } = await findings(node)
    expect(found.get('CONFIG_REFUSED')?.what).toMatch(/does not start again .*(?:oom|OOM|none)/u)
    expect(status).toBe(5)
    await writeFile(config, text.replace('disabled_plugins = []', 'disabled_plugins = ["restart"]'))
    expect((await findings(node)).found.get('CONFIG_REFUSED')?.what).toContain('"restart" in disabled_plugins')
    await writeFile(config, text)
    expect((await findings(node)).found.has('CONFIG_REFUSED')).toBe(false)
  })

  test('has the daemon’s own words for a CRI that did not start', async () => {
    const node = await start({ version, cri: {} })
    const config = join(node.directory, 'config.toml')
    const text = await readFile(config, 'utf8')
    await node.kill()
    await writeFile(config, text.replace('snapshotter = "overlayfs"', 'snapshotter = "zfs9"'))
    await node.start()
    const { status, found } = await findings(node)
    expect(found.get('CRI_NOT_READY')?.what).toMatch(/failed to find snapshotter \\?"zfs9/u)
    expect(found.get('SNAPSHOTTER_MISSING')?.what).toMatch(/^zfs9/u)
    expect(status).toBe(5)
  })

  test('tells of a file that was changed after the daemon was started from it', async () => {
    const node = await start({ version, cri: {} })
    const config = join(node.directory, 'config.toml')
    expect((await findings(node)).found.has('CONFIG_CHANGED_SINCE_START')).toBe(false)
    const later = new Date(Date.now() + HOUR)
    await utimes(config, later, later)
    const { found, status } = await findings(node)
    expect(found.get('CONFIG_CHANGED_SINCE_START')?.what).toContain(config)
    expect(status).toBe(0)
  })

  test('tells of imports that are not there and of files that are too new for the daemon', async () => {
    const node = await start({ version, cri: {} })
    const [file, other] = [join(node.directory, 'other.toml'), join(node.directory, 'other.d.toml')]
    await writeFile(file, `version = 9\nimports = ["other.d.toml", "gone.toml", "none.d/*.toml"]\n`)
    await writeFile(other, 'version = 2\n')
    const { found, files, status } = await findings(node, '--containerd-config', file)
    expect(files.map(({ path }) => path)).toEqual([file, other])
    expect(found.get('IMPORT_MISSING')?.what).toContain(join(node.directory, 'gone.toml'))
    expect(found.get('CONFIG_VERSION_TOO_NEW')?.what).toContain(file)
    expect(status).toBe(5)

    const missing = await doctor(node, '--containerd-config', join(node.directory, 'gone.toml'), '-o', 'json')
    expect([missing.status, errorOf(missing).code]).toEqual([3, 'FILE_NOT_FOUND'])
    await writeFile(file, '[plugins\n')
    const invalid = await doctor(node, '--containerd-config', file, '-o', 'json')
    expect([invalid.status, errorOf(invalid).code]).toEqual([2, 'NODE_CONFIG_INVALID'])
  })
})

const old = await programs('1.6')
describe.skipIf('missing' in old)('doctor on containerd 1.6', () => {
  test('tells of the snapshotter of a handler, which 1.6 passes over', async () => {
    const { found } = await findings(await start({ version: '1.6', cri: { handlers: { kata: 'native' } } }))
    expect(found.get('HANDLER_SNAPSHOTTER_IGNORED')?.what).toContain('handler kata names snapshotter native')
  })
})

const recent = await programs(NEWEST)
const { stdout: help } = await promisify(execFile)('mkfs.erofs', ['--help']).catch(() => ({ stdout: '--tar' }))
describe.skipIf('missing' in recent)('doctor on the newest containerd', () => {
  const cri = { handlers: { erofs: 'erofs', kata: 'nydus' }, annotations: false, discardLayers: true }

  test('sees what bites a node with erofs and a handler of a snapshotter that is not there', async () => {
    const { found, status } = await findings(await start({ version: NEWEST, cri }))
    expect(found.get('SNAPSHOTTER_MISSING')?.what).toMatch(/^nydus \(handler kata\)/u)
    expect(found.get('ANNOTATIONS_OFF')?.what).toContain('nydus (handler kata)')
    expect(found.get('DISCARD_ON')?.what).toContain('erofs, nydus')
    expect(found.get('HANDLER_PULLS_ELSEWHERE')?.what).toContain('unpacks for overlayfs')
    // Fixed in containerd 2.4.0.
    expect([...found.keys()]).not.toContain('VERSION_SILENT_SUCCESS')
    expect([...found.keys()]).not.toContain('VERSION_EROFS_MOUNT_PANICS')
    expect(status).toBe(5)
  })

  // Debian 12's mkfs.erofs cannot read a tar, and containerd then leaves its differ out.
  test.skipIf(help.includes('--tar'))(
    'sees erofs without its differ: an error where a handler uses erofs',
    async () => {
      const severity = async (handlers: Record<string, string>) => {
        const { found } = await findings(await start({ version: NEWEST, cri: { handlers } }))
        await daemon?.stop()
        return found.get('EROFS_WITHOUT_DIFFER')?.severity
      }
      expect(await severity({ lean: 'erofs' })).toBe('error')
      expect(await severity({})).toBe('note')
    },
  )

  test.skipIf(!help.includes('--tar'))('sees whether its differ is used where it is there', async () => {
    const order = (first: string) => `[plugins."io.containerd.service.v1.diff-service"]\n  default = [${first}]`
    for (const [config, severity] of [
      ['', 'error'],
      [order('"erofs", "walking"'), undefined],
    ] as const) {
      const { found } = await findings(await start({ version: NEWEST, cri: { handlers: { lean: 'erofs' } }, config }))
      await daemon?.stop()
      expect(found.get('EROFS_DIFFER_UNUSED')?.severity).toBe(severity)
    }
  })

  test('sees what the migration of a version 2 file loses', async () => {
    const node = await start({ version: NEWEST, cri: {} })
    const file = join(node.directory, 'v2.toml')
    const runtimes = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes'
    await writeFile(file, `version = 2\n[${runtimes}.kata]\nruntime_type = "x"\nsnapshotter = "native"\n`)
    const { found } = await findings(node, '--containerd-config', file)
    expect(found.get('HANDLER_LOST_BY_MIGRATION')?.what).toContain('handler kata runs containers from native')
    // Nothing in this file makes CRI pull by itself, and the transfer service knows overlayfs.
    expect([...found.keys()]).not.toContain('UNPACK_PLATFORM_MISSING')
  })
})

describe('doctor without a containerd', () => {
  test.each([
    ['no daemon', ['--address', '/nowhere/containerd.sock'], 4, 'CONTAINERD_UNREACHABLE'],
    ['the embedded backend', ['--root', '/nowhere'], 2, 'USAGE'],
  ])('%s', async (_title, args, status, code) => {
    const ran = await layercast(['doctor', ...args, '-o', 'json'])
    expect([ran.status, errorOf(ran).code]).toEqual([status, code])
  })
})
