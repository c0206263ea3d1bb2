import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { withMountedSnapshot } from '../../../functions/runner/verify/mounted-snapshot.ts'
import { makeBase } from './root.ts'

const base = makeBase()
afterAll(() => rmSync(base, { recursive: true, force: true }))

let count = 0
let backend: Backend

const layer = async (): Promise<void> => {
  const [mount] = await backend.snapshotter('overlayfs').prepare('making', '', {})
  writeFileSync(join(mount?.source ?? '', 'file'), '')
  await backend.snapshotter('overlayfs').commit('a', 'making', {})
}
const look = (during: () => Promise<void>): Promise<void> =>
  withMountedSnapshot(
    { backend, snapshotter: 'overlayfs', name: 'a', signal: new AbortController().signal, emit: () => undefined },
    during,
  )

describe.skipIf(process.getuid?.() !== 0)('a look into an embedded snapshot (as root)', () => {
  beforeEach(async () => {
    backend = await openEmbedded({ root: join(base, `root-${++count}`) })
    await layer()
    return () => backend.close()
  })

  test('counts where the snapshot stayed', async () => {
    await expect(look(async () => undefined)).resolves.toBeUndefined()
  })

  test.each([
    ['removed', async () => backend.snapshotter('overlayfs').remove('a')],
    [
      'removed and made again',
      async () => {
        await backend.snapshotter('overlayfs').remove('a')
        await layer()
      },
    ],
    [
      'removed, which the look itself trips over',
      async () => {
        await backend.snapshotter('overlayfs').remove('a')
        throw new Error('ENOENT')
      },
    ],
  ])('does not count where it was %s meanwhile', async (_, during) => {
    await expect(look(during)).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' })
  })
})
