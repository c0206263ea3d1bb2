import { describe, expect, test } from 'vitest'
import { errorOf, layercast } from '../../support/layercast.ts'

const NAME = 'example.com/app:1'

describe('which snapshotters is said in one way', () => {
  const cases: [string, string[], Record<string, string>, string][] = [
    ['none', [], {}, '--snapshotter'],
    ['a snapshotter and a handler', ['-s', 'native', '--runtime-handler', 'runc'], {}, '--snapshotter is given'],
    ['a snapshotter and all', ['-s', 'native', '--all-handlers'], {}, '--snapshotter is given'],
    ['a handler and all', ['--runtime-handler', 'runc', '--all-handlers'], {}, '--all-handlers'],
    ['a configuration alone', ['-s', 'native', '--containerd-config', '/x'], {}, '--containerd-config'],
    ['handlers with a root', ['--all-handlers', '--root', '/nowhere'], {}, '--root'],
    ['handlers of the embedded backend', ['--all-handlers', '--backend', 'embedded'], {}, '--backend embedded'],
  ]
  test.each(cases)('%s', async (_title, args, env, words) => {
    const ran = await layercast(['unpack', NAME, ...args, '-o', 'json'], { env })
    expect([ran.status, errorOf(ran).code]).toEqual([2, 'USAGE'])
    expect(errorOf(ran).message).toContain(words)
  })

  test('an option beats the snapshotter of the environment', async () => {
    const env = { CONTAINERD_SNAPSHOTTER: 'native', CONTAINERD_ADDRESS: '/nowhere/containerd.sock' }
    const ran = await layercast(['unpack', NAME, '--all-handlers', '-o', 'json'], { env })
    expect([ran.status, errorOf(ran).code]).toEqual([4, 'CONTAINERD_UNREACHABLE'])
  })
})
