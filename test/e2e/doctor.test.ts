import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { diagnose, gatherFacts } from '../../functions/runner/doctor/index.ts'
import { startContainerd, type StartOptions, type TestContainerd } from '../support/containerd/index.ts'
import { programs } from '../support/containerd/versions.ts'

let daemon: TestContainerd | undefined
afterEach(async () => {
  await daemon?.stop()
  daemon = undefined
})

async function findings(options: StartOptions): Promise<Map<string, string>> {
  daemon = await startContainerd(options)
  const backend = await daemon.connect()
  const found = diagnose(await gatherFacts(backend, { configPath: join(daemon.directory, 'config.toml') }))
  return new Map(found.map(({ code, what }) => [code, what]))
}

const old = await programs('1.6')
describe.skipIf('missing' in old)('doctor on containerd 1.6', () => {
  test('names the proxy plugin behind whose socket nobody is', async () => {
    const found = await findings({ version: '1.6', proxies: { nydus: '/run/layercast-nobody.sock' } })
    expect(found.get('PROXY_SOCKET_DEAD')).toContain('/run/layercast-nobody.sock')
    expect(found.get('CRI_DISABLED')).toContain('io.containerd.grpc.v1.cri')
  })
})

const recent = await programs('2.3')
describe.skipIf('missing' in recent)('doctor on containerd 2.3', () => {
  test('sees what bites a node with erofs and a handler of a snapshotter that is not there', async () => {
    const found = await findings({
      version: '2.3',
      cri: { handlers: { erofs: 'erofs', kata: 'nydus' }, annotations: false, discardLayers: true },
    })
    expect(found.get('SNAPSHOTTER_MISSING')).toMatch(/^nydus \(handler kata\)/)
    expect(found.get('ANNOTATIONS_OFF')).toContain('nydus')
    expect(found.get('DISCARD_ON')).toContain('erofs, nydus')
    expect(found.get('HANDLER_PULLS_ELSEWHERE')).toContain('unpacks for overlayfs')
    expect([...found.keys()]).toContain('VERSION_SILENT_SUCCESS')
    expect([...found.keys()]).toContain('VERSION_EROFS_MOUNT_PANICS')
  })
})

for (const [version, found] of [['1.6', old] as const, ['2.3', recent] as const]) {
  if ('missing' in found) test.skip(`containerd ${version}: ${found.missing}`, () => undefined)
}
