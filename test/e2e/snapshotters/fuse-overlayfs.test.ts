import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { store } from '../../runner/unpack/support/stores.ts'
import { remoteProgram } from '../../support/containerd/remote.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { matrix, programs } from '../../support/containerd/versions.ts'
import { layercast, type Ran } from '../../support/layercast.ts'

const SNAPSHOTTER = 'fuse-overlayfs'
const hasFuse = spawnSync('fuse-overlayfs', ['--version']).status === 0 && existsSync('/dev/fuse')
const built = await remoteProgram(SNAPSHOTTER)

for (const version of matrix()) {
  const found = await programs(version)
  const lacking = [found, built].flatMap((one) => ('missing' in one ? [one.missing] : []))
  if (!hasFuse) lacking.push('fuse3, fuse-overlayfs or /dev/fuse is not there')
  const why = lacking.length > 0 ? ` (${lacking.join('; ')})` : ''
  describe.skipIf(why !== '')(`the fuse-overlayfs snapshotter, containerd ${version}${why}`, () => {
    const image = smallImage(`fuse ${version}`)
    let containerd: TestContainerd
    const run = (...args: string[]): Promise<Ran> => layercast(args, { env: containerd.env })
    const good = async (...args: string[]): Promise<string> => {
      const { status, stderr, stdout } = await run(...args)
      expect([status, stderr]).toEqual([0, ''])
      return stdout.toString()
    }
    beforeAll(async () => {
      containerd = await startContainerd({ version, remote: SNAPSHOTTER })
    })
    afterAll(() => containerd?.stop())

    test.each(['own', 'containerd'])('its trees are written and looked into: --applier %s', async (applier) => {
      const name = `localhost/${applier}:1`
      const namespace = `fuse-${applier}`
      await store(await containerd.connect(namespace), image, name)
      const where = ['-s', SNAPSHOTTER, '-n', namespace]
      await good('unpack', name, ...where, '--applier', applier)
      expect(await good('verify', name, ...where, '--deep', '--contents')).toContain('as the layers describe it')
      const all = await good('verify', '--all', '--deep', '-n', namespace)
      expect(all).toContain(name)
      await good('repair', name, ...where, '--deep')
      const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes('/run/layercast/mounts'))
      // Other files may have theirs, of other snapshotters.
      expect(mounts.filter((line) => line.includes(SNAPSHOTTER) || line.includes(containerd.directory))).toEqual([])
    })
  })
}
