import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { layercast } from '../cli/run.ts'
import { damagedBlobs } from './suites/damaged-blobs.ts'

describe.skipIf(process.getuid?.() !== 0)('damaged blobs with no containerd (as root)', () => {
  let root: string
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'layercast-damaged-'))
  })
  afterAll(() => rm(root, { recursive: true, force: true }))

  damagedBlobs({
    run: (args) => layercast([...args, '--root', root]),
    snapshotter: 'overlayfs',
    fileOf: (digest) => join(root, 'blobs', digest.replace(':', '/')),
  })
})
