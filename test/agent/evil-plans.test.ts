import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { carryOut } from '../../functions/agent/carry-out.ts'
import { openEmbedded } from '../../functions/node/embedded/backend.ts'
import type { Backend } from '../../functions/node/ports.ts'
import { canonicalBytes } from '../../functions/plan/canonical.ts'
import { chainOf } from '../../functions/plan/chain.ts'
import type { Plan, Planned } from '../../functions/plan/document.ts'
import { layerLabels } from '../../functions/plan/labels.ts'
import { parsePlan } from '../../functions/plan/parse.ts'
import { failure } from '../runner/unpack/support/failure.ts'
import { smallImage } from '../runner/unpack/support/images.ts'
import { planOf, REFERENCE } from '../runner/unpack/support/plans.ts'
import { snapshotNames, store } from '../runner/unpack/support/stores.ts'

const S = 'containerd.io/snapshot/'
const image = smallImage('evil')
const other = smallImage('another')
const honest = (snapshotter = 'overlayfs') => planOf(image, { snapshotter }).plan

let directory: string
let backend: Backend
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-evil-'))
  backend = await openEmbedded({ root: join(directory, 'root') })
})
afterEach(async () => {
  await backend.close()
  await rm(directory, { recursive: true, force: true })
})

/** The plan with everything in it that follows from its layers made anew, so that it is consistent in itself. */
function consistent(plan: Plan): Planned {
  const chainIDs = chainOf(plan.layers.map(({ diffID }) => diffID))
  const layers = plan.layers.map((layer, index) => {
    const chain = { diffID: layer.diffID, chainID: chainIDs[index]!, parent: chainIDs[index - 1] ?? ('' as const) }
    const children = plan.layers.slice(index).map(({ descriptor }) => descriptor)
    const labels = layerLabels(layer.descriptor, chain, {
      reference: plan.reference,
      manifest: plan.manifest,
      children,
    })
    return { ...layer, ...chain, labels }
  })
  return parsePlan(canonicalBytes({ ...plan, layers, chainID: chainIDs.at(-1) ?? '' }))
}

const annotated = (annotations: Record<string, string>): Plan => {
  const plan = structuredClone(honest())
  for (const { descriptor } of plan.layers) descriptor.annotations = annotations
  return plan
}

const unneeded = (): Plan => {
  const plan = structuredClone(honest())
  for (const layer of plan.layers) layer.blob = 'none'
  return plan
}

describe('an agent whose server is hostile', () => {
  test.each<[string, Plan]>([
    ['annotates the layers for stargz', annotated({ [`${S}stargz/toc.digest`]: other.manifest.digest })],
    ['says where layers are to be fetched', annotated({ [`${S}remote/urls`]: 'https://evil.example/layer' })],
    ['leaves the upper layers out', { ...honest(), layers: honest().layers.slice(0, 2) }],
    ['leaves the lower layers out', { ...honest(), layers: honest().layers.slice(1) }],
    ['leaves every layer out', { ...honest(), layers: [] }],
    [
      'takes the layers of another image',
      { ...honest(), layers: planOf(other, { snapshotter: 'overlayfs' }).plan.layers },
    ],
    ['takes the config of another image', { ...honest(), config: planOf(other).plan.config }],
    ['says that a blob is not needed', unneeded()],
    ['gives the layers another order', { ...honest(), layers: honest().layers.toReversed() }],
  ])('touches nothing where it %s', async (_, evil) => {
    await store(backend, image)
    await store(backend, other, 'example.com/other:1')
    const options = { backend, signal: new AbortController().signal, onEvent: () => undefined }
    expect(await failure(carryOut(consistent(evil), options))).toMatchObject({ code: 'PLAN_NOT_DERIVED' })
    expect(await snapshotNames(backend, 'overlayfs')).toEqual([])
  })

  test('touches nothing where the name leads to another image on this node', async () => {
    await store(backend, image, 'example.com/elsewhere:1')
    await store(backend, other)
    const options = { backend, signal: new AbortController().signal, onEvent: () => undefined }
    const error = await failure(carryOut(planOf(image, { snapshotter: 'overlayfs' }), options))
    expect(error).toMatchObject({ code: 'PLAN_NOT_DERIVED', message: expect.stringContaining(REFERENCE) as string })
    expect(await snapshotNames(backend, 'overlayfs')).toEqual([])
  })

  test('carries out the plan that follows, also where the name leads there by an index', async () => {
    await store(backend, image)
    const index = canonicalBytes({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [{ ...other.manifest }, { ...image.manifest }],
    })
    const { digestBytes } = await import('../../functions/image/digest.ts')
    const target = {
      mediaType: 'application/vnd.oci.image.index.v1+json',
      digest: digestBytes(index),
      size: index.length,
    }
    await backend.content.write(
      target,
      (async function* () {
        yield index
      })(),
    )
    await backend.images.put(REFERENCE, target)
    const { ready } = await carryOut(planOf(image, { snapshotter: 'overlayfs' }), {
      backend,
      applier: {
        // What is looked at here is which plans are carried out, which takes no root.
        apply: async () => Promise.reject(new Error('the applier was asked')),
      } as never,
      signal: new AbortController().signal,
      onEvent: () => undefined,
    }).catch((error: Error) => ({ ready: error.message }))
    expect(ready).toBe('the applier was asked')
  })
})
