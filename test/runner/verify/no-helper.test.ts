import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Backend } from '../../../functions/node/ports.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyAll, type VerifiedImage } from '../../../functions/runner/verify/all.ts'
import { compareTree } from '../../../functions/runner/verify/compare-tree.ts'
import { smallImage } from '../unpack/support/images.ts'
import { intercept } from '../unpack/support/intercept.ts'
import { planOf } from '../unpack/support/plans.ts'
import { sandbox, watched, type Sandbox } from '../unpack/support/sandbox.ts'

// The mounts are those of fuse-overlayfs-snapshotter, on a node where the program that they name is not installed.
describe('a snapshotter whose mounts need a helper that is not there', () => {
  const image = smallImage('helper')
  const planned = planOf(image, { snapshotter: 'overlayfs' })
  const mounts = [{ type: 'fuse3.no-such-program', source: 'overlay', target: '', options: ['lowerdir=/nowhere'] }]
  let box: Sandbox
  let backend: Backend
  beforeAll(async () => {
    box = await sandbox(image)
    await unpack({ ...watched(box.backend, image), planned })
    backend = intercept(box.backend, (call, goOn) =>
      call.name === 'snapshotter.peek' || call.name === 'snapshotter.view' ? Promise.resolve(mounts) : goOn(),
    )
  })
  afterAll(() => box.close())

  test('verify --all says that its trees were not looked into, and calls no image wrong', async () => {
    const found: VerifiedImage[] = []
    for await (const one of verifyAll({ backend, deep: true, signal: new AbortController().signal })) found.push(one)
    expect(found).toMatchObject([
      {
        snapshotter: 'overlayfs',
        report: { ok: true },
        noTree: expect.stringContaining('made by the program no-such-program, which is not on this node') as string,
      },
    ])
    expect(found[0]).not.toHaveProperty('error')
    expect(found[0]).not.toHaveProperty('tree')
  })

  test('verify --deep of the one image is an error that says what to install', async () => {
    await expect(compareTree({ backend, plan: planned.plan })).rejects.toMatchObject({
      code: 'MOUNT_HELPER_MISSING',
      fix: expect.stringContaining('Install no-such-program') as string,
    })
  })
})
