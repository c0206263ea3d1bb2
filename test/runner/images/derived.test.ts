import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LayercastError } from '../../../functions/errors.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import { canonicalize } from '../../../functions/plan/canonical.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import { parsePlan } from '../../../functions/plan/parse.ts'
import { plan } from '../../../functions/plan/plan.ts'
import { checkDerived } from '../../../functions/runner/images/derived.ts'
import { mutationsOf } from '../../plan/mutations.ts'
import { file } from '../../support/images/entries.ts'
import { buildImage } from '../../support/images/image.ts'
import { layercast } from '../../support/layercast.ts'
import { failure } from '../unpack/support/failure.ts'
import { smallImage } from '../unpack/support/images.ts'
import { planOf, REFERENCE } from '../unpack/support/plans.ts'
import { store } from '../unpack/support/stores.ts'

const S = 'containerd.io/snapshot/'
const image = buildImage({
  layers: [[file('one', '1')], [file('two', '2')]],
  layerAnnotations: [{ [`${S}stargz/toc.digest`]: 'toc', other: 'kept' }],
})

let directory: string
let backend: Backend
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-derived-'))
  backend = await openEmbedded({ root: join(directory, 'root') })
  await store(backend, image)
})
afterAll(async () => {
  await backend.close()
  await rm(directory, { recursive: true, force: true })
})

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

/** Why a document is refused, by parsing or by the comparison; undefined where it is not. */
async function refusalOf(value: unknown): Promise<LayercastError | undefined> {
  try {
    await checkDerived(backend, parsePlan(bytesOf(value)).plan)
    return undefined
  } catch (error) {
    if (error instanceof LayercastError) return error
    throw error
  }
}

/** Whether the planner makes this very document of the image for some other name, snapshotter or profile. */
function isAnotherPlan(value: Planned['plan']): boolean {
  const made = (['cri', 'off'] as const).flatMap((labels) => {
    try {
      const { reference, snapshotter, profile } = value
      const { plan: again } = planOf(image, { reference, snapshotter, profile, labels })
      return [canonicalize({ ...again, warnings: value.warnings })]
    } catch {
      return []
    }
  })
  return made.includes(canonicalize(value))
}

test('the field that differs is named, also within a descriptor', async () => {
  const { plan: given } = planOf(image)
  const error = await refusalOf({ ...given, manifest: { ...given.manifest, size: given.manifest.size + 1 } })
  expect(error?.message).toContain(`manifest.size is ${given.manifest.size + 1} where ${given.manifest.size} is due`)
})

describe.each([
  ['overlayfs', 'cri'],
  ['native', 'off'],
  ['stargz', 'cri'],
  ['nydus', 'cri'],
] as const)('of a plan for %s with labels %s', (snapshotter, labels) => {
  const planned = planOf(image, { snapshotter, labels })

  test('the plan itself is right, and so it is without its warnings', async () => {
    expect(await checkDerived(backend, planned.plan)).toBe(true)
    expect(await checkDerived(backend, { ...planned.plan, warnings: [] })).toBe(true)
  })

  test('every change of one field is refused, with status 2, unless it is the plan of another name or profile', async () => {
    // Warnings are words: what they say changes with the version, and nothing is done by them.
    const all = mutationsOf(planned.plan).filter(({ field }) => field !== 'warnings')
    // Without CRI's labels nothing says which manifest it is: a node that does not hold the one that is named has none to ask.
    const unknown = (value: Planned['plan']) => labels === 'off' && /^sha256:0+$/.test(value.manifest?.digest)
    const mutations = all.filter(({ value }) => !unknown(value as Planned['plan']))
    expect(mutations.length).toBeGreaterThan(150)
    const judged = await Promise.all(
      mutations.map(async ({ name, value }) => ({ name, value, error: await refusalOf(value) })),
    )
    const passed = judged.filter(({ error, value }) => error === undefined && !isAnotherPlan(value as Planned['plan']))
    expect(passed.map(({ name }) => name)).toEqual([])
    const refused = judged.flatMap(({ error, name }) =>
      error === undefined ? [] : [[name, error.exit, typeof error.fix]],
    )
    expect(refused).toEqual(refused.map(([name]) => [name, 2, 'string']))
  })
})

test('what differs is named, and so is a plan that could not be made', async () => {
  const { plan: document } = planOf(image, { snapshotter: 'overlayfs' })
  const resized = { ...document, config: { ...document.config, size: 1 } }
  const error = await failure(checkDerived(backend, resized))
  expect(error).toMatchObject({ code: 'PLAN_NOT_DERIVED', exit: 2 })
  expect(error.message).toContain('config')
  const unknown = await failure(checkDerived(backend, { ...document, profile: 'from-the-future' }))
  expect(unknown).toMatchObject({ code: 'PLAN_NOT_DERIVED', cause: { code: 'PROFILE_UNKNOWN' } })
})

test('a plan of an odd name follows from its documents too', async () => {
  const { manifestBytes, configBytes } = image
  const odd = plan({
    reference: 'Foo/BAR:x',
    referenceForm: 'store',
    snapshotter: 'overlayfs',
    manifest: manifestBytes,
    config: configBytes,
  })
  expect(await checkDerived(backend, odd.plan)).toBe(true)
})

test('with the manifest alone, its layers and what it says of the config are compared', async () => {
  const partly = buildImage({ layers: [[file('partly')], [file('held')]] })
  const { plan: document } = planOf(partly, { snapshotter: 'overlayfs' })
  await store(backend, partly, 'example.com/partly:1')
  await backend.content.remove(partly.config.digest)
  expect(await checkDerived(backend, document)).toBe(false)
  const resized = { ...document, config: { ...document.config, size: 1 } }
  const fewer = { ...document, layers: document.layers.slice(0, 1) }
  const other = { ...document, config: { ...document.config, digest: image.config.digest } }
  for (const altered of [resized, fewer, other])
    expect(await failure(checkDerived(backend, altered))).toMatchObject({
      code: expect.stringMatching(/^PLAN_NOT_DERIVED$/),
    })
})

test('where the node does not hold the documents, there is nothing to compare with', async () => {
  expect(await checkDerived(backend, planOf(smallImage('elsewhere')).plan)).toBe(false)
})

test('apply refuses an altered plan before it does anything, dry or not', async () => {
  const document = structuredClone(planOf(image, { snapshotter: 'overlayfs' }).plan)
  for (const { descriptor } of document.layers) descriptor.mediaType = descriptor.mediaType.replace('gzip', 'zstd')
  expect(parsePlan(bytesOf(document)).plan.reference).toBe(REFERENCE)
  await backend.close()
  for (const how of [['--dry-run'], []]) {
    const ran = await layercast(['apply', '-', ...how, '--root', join(directory, 'root'), '-o', 'json'], {
      stdin: bytesOf(document),
    })
    expect([ran.status, ran.stdout.toString()]).toEqual([2, ''])
    expect(ran.stderr).toContain('PLAN_NOT_DERIVED')
  }
  backend = await openEmbedded({ root: join(directory, 'root') })
  const found: string[] = []
  for await (const { name } of backend.snapshotter('overlayfs').list()) found.push(name)
  expect(found).toEqual([])
})
