import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { dryRun } from '../../../functions/runner/unpack/dry-run.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { bereft } from '../../runner/blobs/missing.ts'
import { missingBlobs } from '../../runner/blobs/suite.ts'
import { failure } from '../../runner/unpack/support/failure.ts'

const SNAPSHOTTER = 'overlayfs'

describe.skipIf(process.getuid?.() !== 0)('missing blobs over the embedded backend (as root)', () => {
  let root: string
  let backend: Backend
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'layercast-missing-'))
    backend = await openEmbedded({ root })
  })
  afterAll(async () => {
    await backend?.close()
    await rm(root, { recursive: true, force: true })
  })

  missingBlobs({ backend: () => backend, snapshotter: SNAPSHOTTER, appliers: ['own'] })

  test('layers cannot be made out of another snapshotter, and that is said at once', async () => {
    const { planned } = await bereft(backend, SNAPSHOTTER)
    const blobs = { fromSnapshotter: 'native' }
    expect(await failure(unpack({ backend, planned, blobs }))).toMatchObject({ code: 'USAGE', exit: 2 })
    expect(await failure(dryRun({ backend, plan: planned.plan, blobs }))).toMatchObject({ code: 'USAGE', exit: 2 })
  })
})
