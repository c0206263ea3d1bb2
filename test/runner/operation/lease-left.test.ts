/** A lease that cannot be deleted is told of by whatever made it, also where the lease is not the operation's own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LayercastError } from '../../../functions/errors.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { createHealer } from '../../../functions/runner/blobs/heal.ts'
import { findImage } from '../../../functions/runner/images/find.ts'
import type { OperationEvent } from '../../../functions/runner/operation/events.ts'
import { repairChain } from '../../../functions/runner/repair/repair.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyAll } from '../../../functions/runner/verify/all.ts'
import { compareTree } from '../../../functions/runner/verify/compare-tree.ts'
import { all } from '../../support/all.ts'
import { changed } from '../../support/changed.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { smallImage } from '../unpack/support/images.ts'
import { planOf, REFERENCE } from '../unpack/support/plans.ts'
import { sandbox, type Sandbox } from '../unpack/support/sandbox.ts'

const image = smallImage()
const planned = planOf(image, { snapshotter: 'overlayfs' })
const { plan } = planned
const { signal } = new AbortController()
const isRoot = process.getuid?.() === 0

let box: Sandbox
let backend: Backend
let layout: string

beforeAll(async () => {
  layout = await mkdtemp(join(tmpdir(), 'layercast-lease-left-'))
  await writeOciLayout(image, layout)
  box = await sandbox(image)
  backend = {
    ...box.backend,
    leases: changed(box.backend.leases, {
      delete: async (id, options) => {
        if (/-(?:heal|verify)-/u.test(id)) throw new LayercastError('CONTAINERD_FAILED', 'said by the test')
        await box.backend.leases.delete(id, options)
      },
    }),
    // As under containerd, where only a view shows a snapshot.
    snapshotter: (name) => changed(box.backend.snapshotter(name), { peek: undefined as never }),
    withLease: (id) => ({
      ...box.backend.withLease(id),
      snapshotter: (name) => changed(box.backend.withLease(id).snapshotter(name), { peek: undefined as never }),
    }),
  }
  if (isRoot) await unpack({ backend: box.backend, planned })
})
afterAll(async () => {
  await box.close()
  await rm(layout, { recursive: true })
})

type Listen = (event: { type: string }) => void

async function leasesLeft(work: (listen: Listen) => Promise<unknown>): Promise<string[]> {
  const events: { type: string }[] = []
  await work((event) => void events.push(event))
  return events.flatMap((event) => {
    const { code, detail } = event as Extract<OperationEvent, { type: 'warning' }>
    return event.type === 'warning' ? [`${code} ${detail.replace(/-\d+-[0-9a-f]+ .*/su, '')}`] : []
  })
}

test('by a healer', async () => {
  const options = { backend, reference: REFERENCE, target: plan.manifest.digest, sources: [`oci:${layout}`], signal }
  const [layer] = image.layers
  expect(
    await leasesLeft(async (emit) => {
      const healer = createHealer({ ...options, emit })
      await healer.heal(layer as never)
      await healer.close()
    }),
  ).toEqual(['LEASE_LEFT lease layercast-heal'])
})

test('by a look for an image one of whose documents is healed', async () => {
  await box.backend.content.remove(image.config.digest)
  const sources = [`oci:${layout}`]
  expect(
    await leasesLeft((onEvent) => findImage(backend, REFERENCE, { platform: 'linux/amd64', sources, onEvent })),
  ).toEqual(['LEASE_LEFT lease layercast-heal'])
})

test.skipIf(!isRoot).each<[string, (listen: Listen) => Promise<unknown>]>([
  ['a comparison of trees', (onEvent) => compareTree({ backend, plan, onEvent })],
  [
    'a comparison of every tree',
    (onEvent) =>
      all(verifyAll({ backend, signal, snapshotter: 'overlayfs', deep: true, platform: 'linux/amd64', onEvent })),
  ],
])('by %s (as root)', async (_, work) => {
  expect(await leasesLeft(work)).toEqual(['LEASE_LEFT lease layercast-verify'])
})

test.skipIf(!isRoot)('by a repair that compares trees (as root)', async () => {
  const left = await leasesLeft((onEvent) => repairChain({ backend, planned, deep: true, onEvent }))
  expect(left).toContain('LEASE_LEFT lease layercast-verify')
})
