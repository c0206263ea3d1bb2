import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LayercastError } from '../../../functions/errors.ts'
import type { Digest } from '../../../functions/image/digest.ts'
import type { Mount } from '../../../functions/linux/mount-list.ts'
import type { Planned } from '../../../functions/plan/document.ts'
import type { UnpackEvent } from '../../../functions/runner/unpack/types.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { verifyChain } from '../../../functions/runner/verify/verify.ts'
import { file } from '../../support/images/entries.ts'
import { buildImage, type BuiltImage } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { failure } from './support/failure.ts'
import { smallImage } from './support/images.ts'
import type { Around } from './support/intercept.ts'
import { planOf } from './support/plans.ts'
import { sandbox, watched, type Sandbox } from './support/sandbox.ts'
import { leftovers, snapshotNames, store } from './support/stores.ts'

const SNAPSHOTTER = 'overlayfs'
const image: BuiltImage = smallImage()
const planned: Planned = planOf(image, { snapshotter: SNAPSHOTTER })
const exists = () => new LayercastError('ALREADY_EXISTS', 'said by the test')
const unreachable = () => new LayercastError('CONTAINERD_UNREACHABLE', 'said by the test')

let box: Sandbox
beforeEach(async () => {
  box = await sandbox(image)
})
afterEach(() => box.close())

/** Runs over the watched backend, with `around` about every call. */
async function run(around?: Around, options: Partial<Parameters<typeof unpack>[0]> = {}) {
  const { backend, applier, calls } = watched(box.backend, image, around)
  const events: UnpackEvent[] = []
  const result = unpack({ backend, applier, planned, onEvent: (event) => events.push(event), ...options })
  await result.catch(() => undefined)
  return { result, calls, events }
}
const uncompressed = async (digest: Digest) =>
  (await box.backend.content.info(digest)).labels['containerd.io/uncompressed']
const clean = async () => expect(await leftovers(box.backend, SNAPSHOTTER)).toEqual([])
const whole = async () =>
  expect(await verifyChain({ backend: box.backend, plan: planned.plan })).toMatchObject({ ok: true })
const nothing = async () => {
  await clean()
  expect(await snapshotNames(box.backend, SNAPSHOTTER)).toEqual([])
}

describe('the top half', () => {
  test('keys are spelt as containerd spells them, and Prepare and Commit carry the same labels', async () => {
    const labels: Record<string, unknown[]> = { 'snapshotter.prepare': [], 'snapshotter.commit': [] }
    const keys: unknown[] = []
    await run((call, goOn) => {
      if (call.name in labels) labels[call.name]?.push(call.args[2])
      if (call.name === 'snapshotter.prepare') keys.push(call.args[0])
      return goOn()
    })
    expect(labels['snapshotter.prepare']).toEqual(planned.plan.layers.map((layer) => layer.labels))
    expect(labels['snapshotter.commit']).toEqual(labels['snapshotter.prepare'])
    for (const [index, key] of keys.entries()) {
      expect(key).toMatch(new RegExp(`^extract-\\d{1,9}-[A-Za-z0-9_-]{4} ${image.chainIDs[index]}$`))
    }
    await whole()
  })

  test('a layer that the snapshotter takes is neither fetched nor applied nor labelled', async () => {
    for (const layer of image.layers) await box.backend.content.remove(layer.digest)
    const remote = planOf(image, { snapshotter: SNAPSHOTTER, profile: 'nydus' })
    const { result, calls } = await run(
      async (call, goOn) => {
        if (call.name !== 'snapshotter.prepare') return goOn()
        const [key, , labels] = call.args as [string, string, Record<string, string>]
        await goOn()
        await box.backend.snapshotter(SNAPSHOTTER).commit(labels['containerd.io/snapshot.ref'] ?? '', key, labels)
        throw exists()
      },
      { planned: remote },
    )
    expect((await result).layers.map((layer) => layer.state)).toEqual(['taken', 'taken', 'taken'])
    expect(calls).not.toContain('applier.apply')
    expect(calls).not.toContain('snapshotter.commit')
    expect(await verifyChain({ backend: box.backend, plan: remote.plan })).toMatchObject({ ok: true })
    await clean()
  })

  test('AlreadyExists with no snapshot behind it is answered by new keys, three in all', async () => {
    const keys = new Set<unknown>()
    const { result } = await run((call, goOn) => {
      if (call.name !== 'snapshotter.prepare') return goOn()
      keys.add(call.args[0])
      throw exists()
    })
    expect(await failure(result)).toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(keys.size).toBe(3)
    await nothing()
  })

  test('a key that is taken twice does not keep the layer from being made', async () => {
    let refused = 0
    const { result } = await run((call, goOn) => {
      if (call.name === 'snapshotter.prepare' && refused++ < 2) throw exists()
      return goOn()
    })
    expect((await result).layers.map((layer) => layer.state)).toEqual(['applied', 'applied', 'applied'])
    await whole()
  })

  test('success with no mounts is a failure, and the snapshot goes', async () => {
    const { result } = await run(async (call, goOn) => {
      const answer = await goOn()
      return call.name === 'snapshotter.prepare' ? [] : answer
    })
    expect(await failure(result)).toMatchObject({ code: 'SNAPSHOT_WITHOUT_MOUNTS', exit: 1 })
    await nothing()
  })

  test('a last mount that is read-only means staged content: committed, not applied, not labelled', async () => {
    const { result, calls } = await run(async (call, goOn) => {
      const answer = await goOn()
      if (call.name !== 'snapshotter.prepare') return answer
      return (answer as Mount[]).map(({ type, source, target }) => ({ type, source, target, options: ['ro', 'rbind'] }))
    })
    expect((await result).layers.map((layer) => layer.state)).toEqual(['staged', 'staged', 'staged'])
    expect(calls).not.toContain('applier.apply')
    expect(await uncompressed(image.layers[0]?.digest as Digest)).toBeUndefined()
    await whole()
  })

  test('a layer that was to be taken and is not needs its blob, and says so by name', async () => {
    await box.backend.content.remove(image.layers[1]?.digest as Digest)
    const stargz = planOf(image, { snapshotter: SNAPSHOTTER, profile: 'stargz' })
    const { result } = await run(undefined, { planned: stargz })
    const error = await failure(result)
    expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3, detail: { digests: [image.layers[1]?.digest] } })
    await nothing()
  })

  test('another diff ID than the config says is refused, with the layer and both digests', async () => {
    const { result } = await run(async (call, goOn) => {
      const answer = (await goOn()) as { diffID: string }
      return call.name === 'applier.apply' ? { ...answer, diffID: image.diffIDs[2] } : answer
    })
    expect(await failure(result)).toMatchObject({
      code: 'DIFF_ID_MISMATCH',
      exit: 5,
      detail: { layer: image.layers[0]?.digest, expected: image.diffIDs[0], actual: image.diffIDs[2] },
    })
    await nothing()
  })
})

describe('the bottom half', () => {
  test('someone else committing first is as good as done: the own snapshot goes, the blob is not labelled', async () => {
    const { result } = await run(async (call, goOn) => {
      if (call.name !== 'snapshotter.commit') return goOn()
      const [name, , labels] = call.args as [string, string, Record<string, string>]
      const other = box.backend.snapshotter(SNAPSHOTTER)
      const parent = planned.plan.layers.find((layer) => layer.chainID === name)?.parent ?? ''
      await other.prepare(`other ${name}`, parent, {})
      await other.commit(name, `other ${name}`, labels)
      return goOn()
    })
    expect((await result).layers.map((layer) => layer.state)).toEqual(['taken', 'taken', 'taken'])
    expect(await uncompressed(image.layers[0]?.digest as Digest)).toBeUndefined()
    await clean()
    await whole()
  })

  test('a Commit that fails leaves no snapshot', async () => {
    const { result } = await run((call, goOn) => {
      if (call.name === 'snapshotter.commit') throw new LayercastError('CONTAINERD_FAILED', 'disk full')
      return goOn()
    })
    expect(await failure(result)).toMatchObject({ code: 'CONTAINERD_FAILED' })
    await nothing()
  })

  test('applied blobs say what they uncompress to', async () => {
    await run()
    for (const [n, layer] of image.layers.entries()) expect(await uncompressed(layer.digest)).toBe(image.diffIDs[n])
  })
})

describe('the end', () => {
  test('a Commit that only seemed to succeed is found out, and nothing refers to the chain', async () => {
    const { result } = await run((call, goOn) => {
      if (call.name === 'snapshotter.commit' && call.args[0] === image.chainIDs[2]) return Promise.resolve()
      return goOn()
    })
    const error = await failure(result)
    expect(error).toMatchObject({ code: 'CHAIN_INCOMPLETE', exit: 5 })
    expect(error.message).toContain(image.chainIDs[2])
    const { labels } = await box.backend.content.info(image.config.digest)
    expect(labels).not.toHaveProperty(`containerd.io/gc.ref.snapshot.${SNAPSHOTTER}`)
    await nothing()
  })

  test('the gc label is written once every layer was seen, and not before', async () => {
    const { calls } = await run()
    const label = calls.lastIndexOf('content.label')
    expect(calls.slice(label - 3, label)).toEqual(['snapshotter.stat', 'snapshotter.stat', 'snapshotter.stat'])
    expect(calls.slice(label + 1)).toEqual(['leases.delete'])
  })

  test('a ready chain costs one Stat and one look at the config', async () => {
    await run()
    const { result, calls } = await run()
    expect((await result).ready).toBe(true)
    expect(calls).toEqual(['snapshotter.stat', 'content.info'])
  })

  test('a layer that the collector takes under the run is made again', async () => {
    let taken = false
    const { result } = await run(async (call, goOn) => {
      if (call.name === 'snapshotter.prepare' && call.args[1] === image.chainIDs[1] && !taken) {
        taken = true
        await box.backend.snapshotter(SNAPSHOTTER).remove(image.chainIDs[1] ?? '')
      }
      return goOn()
    })
    expect((await result).layers.map((layer) => layer.state)).toEqual(['applied', 'applied', 'applied'])
    await whole()
    await clean()
  })

  test('a layer that vanishes again and again is an error in the end', async () => {
    const { result } = await run(async (call, goOn) => {
      if (call.name === 'snapshotter.prepare' && call.args[1] === image.chainIDs[1]) {
        await box.backend.snapshotter(SNAPSHOTTER).remove(image.chainIDs[1] ?? '')
      }
      return goOn()
    })
    expect(await failure(result)).toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' })
    await nothing()
  })
})

describe('before anything is touched', () => {
  const reads = ['snapshotter.stat', 'content.info']

  test('a label that the snapshotter needs and the plan lacks is refused', async () => {
    const key = 'containerd.io/snapshot/cri.layer-digest'
    const [first, ...rest] = planned.plan.layers
    const { [key]: _, ...labels } = first?.labels ?? {}
    const lame = {
      ...planned.plan,
      requires: [key],
      layers: [{ ...(first as typeof first & object), labels }, ...rest],
    }
    const { result, calls } = await run(undefined, { planned: { ...planned, plan: lame } })
    const error = await failure(result)
    expect(error).toMatchObject({ code: 'PLAN_LABEL_REQUIRED', exit: 2 })
    expect(error.message).toContain(key)
    expect(calls).toEqual([])
  })

  test('missing blobs are all named, each once, the config among them', async () => {
    const gone = [image.config.digest, image.layers[1]?.digest, image.layers[2]?.digest] as Digest[]
    for (const digest of gone) await box.backend.content.remove(digest)
    const { result, calls } = await run()
    expect((await failure(result)).detail['digests']).toEqual(gone)
    expect(calls.filter((call) => !reads.includes(call))).toEqual([])
  })

  test('a snapshotter that is not there', async () => {
    const { result, calls } = await run(undefined, { planned: planOf(image, { snapshotter: 'nosuch' }) })
    expect(await failure(result)).toMatchObject({ code: 'SNAPSHOTTER_NOT_FOUND', exit: 3 })
    expect(calls.filter((call) => !reads.includes(call))).toEqual([])
  })

  test("containerd's applier where there is no containerd", async () => {
    const { result, calls } = await run(undefined, { applier: 'containerd' })
    expect(await failure(result)).toMatchObject({ code: 'USAGE', exit: 2 })
    expect(calls).toEqual([])
  })

  test('a signal that has fired', async () => {
    const { result, calls } = await run(undefined, { signal: AbortSignal.abort() })
    expect(await failure(result)).toMatchObject({ code: 'ABORTED' })
    expect(calls).toEqual([])
  })
})

describe('failures', () => {
  test('of clean-up are not kept quiet: the first error stays, with them in it', async () => {
    const { result } = await run((call, goOn) => {
      if (call.name === 'snapshotter.commit')
        throw new LayercastError('CONTAINERD_FAILED', 'disk full', { fix: 'Free some.' })
      if (call.name === 'snapshotter.remove') throw new LayercastError('CONTAINERD_FAILED', 'device busy')
      return goOn()
    })
    const error = await failure(result)
    expect(error).toMatchObject({ code: 'CONTAINERD_FAILED', fix: 'Free some.' })
    expect(error.message).toMatch(/^disk full; and could not remove snapshot extract-.*: device busy$/)
    expect(error.detail['cleanup']).toHaveLength(1)
    expect((error.cause as AggregateError).errors).toHaveLength(2)
    // What could not be removed was the lease's alone, so it went with it.
    await nothing()
  })

  test('that pass are waited out, and the first key does not stay', async () => {
    let failed = 0
    const { result, events } = await run(async (call, goOn) => {
      const answer = await goOn()
      if (call.name === 'snapshotter.prepare' && failed++ < 2) throw unreachable()
      return answer
    })
    await result
    expect(events.filter((event) => event.type === 'retry')).toHaveLength(2)
    await clean()
    await whole()
  })

  test('to delete the lease are a warning once the chain is there', async () => {
    const { result } = await run((call, goOn) => {
      if (call.name === 'leases.delete') throw new LayercastError('CONTAINERD_FAILED', 'no')
      return goOn()
    })
    expect((await result).warnings.map((warning) => warning.code)).toEqual(['LEASE_LEFT'])
    await whole()
  })

  test('of whoever listens to the events end the run, and leave nothing', async () => {
    const { result } = await run(undefined, {
      onEvent: (event) => {
        if (event.type === 'layer' && event.step === 'applied') throw new Error('the terminal is gone')
      },
    })
    await expect(result).rejects.toThrow('the terminal is gone')
    await nothing()
  })
})

test('a layer that another image brought first keeps its labels, and only labels that nobody planned are told', async () => {
  const [first, , third] = image.tars
  const other = buildImage({ layers: [first ?? new Uint8Array(), third ?? new Uint8Array()] })
  const reference = 'example.com/other:1'
  await store(box.backend, other, reference)
  const theirs = planOf(other, { snapshotter: SNAPSHOTTER, reference })
  await run()
  const again = await unpack({ ...watched(box.backend, other), planned: theirs })
  expect(again.layers.map((layer) => layer.state)).toEqual(['exists', 'applied'])
  expect(again.warnings).toEqual([])
  // The same with labels of neither image.
  await box.backend.snapshotter(SNAPSHOTTER).update(image.chainIDs[0] ?? '', { 'containerd.io/snapshot/diff-id': 'x' })
  await box.backend.content.label(other.config.digest, { [`containerd.io/gc.ref.snapshot.${SNAPSHOTTER}`]: '' })
  const damaged = await unpack({ ...watched(box.backend, other), planned: theirs })
  expect(damaged.warnings.map((warning) => warning.code)).toEqual(['LABELS_DIFFER'])
  expect(damaged.warnings[0]?.detail).toContain(image.chainIDs[0])
})

test('a plan of no layers is done without asking anything', async () => {
  const empty = { ...planned, plan: { ...planned.plan, layers: [], chainID: '' as const } }
  const { result, calls } = await run(undefined, { planned: empty })
  expect(await result).toMatchObject({ ready: true, layers: [], chainID: '' })
  expect(calls).toEqual([])
})

describe('missing blobs that a source has', () => {
  const five = buildImage({ layers: ['a', 'b', 'c', 'd', 'e'].map((name) => [file(name, name)]) })
  const layers = five.layers.map(({ digest }) => digest)
  let layout: string
  let other: Sandbox

  beforeEach(async () => {
    layout = await mkdtemp(join(tmpdir(), 'layercast-layout-'))
    await writeOciLayout(five, layout)
    other = await sandbox(five)
    for (const digest of layers) await other.backend.content.remove(digest)
  })
  afterEach(async () => {
    await other.close()
    await rm(layout, { recursive: true })
  })

  /** Runs with the layout as a source, and with `around` about each write of a layer's blob. */
  async function fetching(around: (digest: Digest, goOn: () => Promise<unknown>) => Promise<unknown>) {
    const node = watched(other.backend, five, (call, goOn) => {
      const [expected] = call.args as [{ digest: Digest }]
      return call.name === 'content.write' && layers.includes(expected.digest) ? around(expected.digest, goOn) : goOn()
    })
    const result = unpack({
      ...node,
      planned: planOf(five, { snapshotter: SNAPSHOTTER }),
      blobs: { sources: [`oci:${layout}`] },
    })
    await result.catch(() => undefined)
    return result
  }

  test('are fetched ahead, three at once and each once', async () => {
    const asked: Digest[] = []
    let running = 0
    let most = 0
    const result = await fetching(async (digest, goOn) => {
      asked.push(digest)
      most = Math.max(most, ++running)
      await new Promise((done) => setTimeout(done, 20))
      await goOn()
      running--
    })
    expect(asked).toEqual(layers)
    expect(most).toBe(3)
    expect(result.layers.map(({ state }) => state)).toEqual(layers.map(() => 'applied'))
  })

  test('and cannot be fetched: the run ends when all that was under way has ended, and leaves nothing', async () => {
    const asked: Digest[] = []
    let running = 0
    const failed = Promise.withResolvers<void>()
    const result = fetching(async (digest, goOn) => {
      asked.push(digest)
      running++
      try {
        if (digest === layers[0]) throw new LayercastError('REGISTRY_FAILED', 'no such blob')
        await failed.promise
        await new Promise((done) => setTimeout(done, 30))
        return await goOn()
      } finally {
        if (digest === layers[0]) failed.resolve()
        running--
      }
    })
    expect(await failure(result)).toMatchObject({ code: 'REGISTRY_FAILED' })
    expect(running).toBe(0)
    // The last one was waiting for its turn, and was not begun.
    expect(asked).toEqual(layers.slice(0, 4))
    for (const digest of layers) {
      await expect(other.backend.content.info(digest)).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' })
    }
    expect(await leftovers(other.backend, SNAPSHOTTER)).toEqual([])
    expect(await snapshotNames(other.backend, SNAPSHOTTER)).toEqual([])
  })
})
