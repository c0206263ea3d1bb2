import { createServer } from 'node:http'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LayercastError } from '../../../functions/errors.ts'
import type { Digest } from '../../../functions/image/digest.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import type { UnpackEvent } from '../../../functions/runner/unpack/types.ts'
import { unpack } from '../../../functions/runner/unpack/unpack.ts'
import { changed } from '../../support/changed.ts'
import { dir, file } from '../../support/images/entries.ts'
import { buildImage, digestOf, type BuiltImage } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { failure } from '../unpack/support/failure.ts'
import { smallImage } from '../unpack/support/images.ts'
import { planOf } from '../unpack/support/plans.ts'
import { sandbox, watched, type Sandbox } from '../unpack/support/sandbox.ts'
import { leftovers } from '../unpack/support/stores.ts'
import { blobs, temporary, UNCOMPRESSED, writeDamagedLayout } from './missing.ts'

const SNAPSHOTTER = 'overlayfs'
const image = smallImage('providers')
const planned = planOf(image, { snapshotter: SNAPSHOTTER })

let box: Sandbox
let place: Awaited<ReturnType<typeof temporary>>
beforeEach(async () => {
  box = await sandbox(image)
  place = await temporary()
  for (const { digest } of image.layers) await box.backend.content.remove(digest)
})
afterEach(async () => {
  await box.close()
  await place.remove()
})

/** Runs with an applier that needs no root and believes the digests. */
async function run(
  options: Partial<Parameters<typeof unpack>[0]>,
  of: BuiltImage = image,
  backend: Backend = box.backend,
) {
  const fetched: Digest[] = []
  const layers = new Set(of.layers.map(({ digest }) => digest))
  const events: UnpackEvent[] = []
  const result = unpack({
    ...watched(backend, of, (call, goOn) => {
      const [expected] = call.args as [{ digest: Digest }]
      if (call.name === 'content.write' && layers.has(expected.digest)) fetched.push(expected.digest)
      return goOn()
    }),
    planned,
    onEvent: (event) => events.push(event),
    ...options,
  })
  await result.catch(() => undefined)
  return { result, events, fetched }
}

const layout = async (of: BuiltImage, name: string): Promise<string> => {
  await writeOciLayout(of, place.path(name))
  return `oci:${place.path(name)}`
}

describe('missing blobs', () => {
  test('a store that is away for a moment is asked again, and the stand-in found', async () => {
    const lease = await box.backend.leases.create()
    for (const [index, tar] of image.tars.entries()) {
      const blob = { digest: digestOf(tar), size: tar.length }
      const labels = { [UNCOMPRESSED]: image.diffIDs[index] ?? '' }
      await box.backend.withLease(lease.id).content.write(blob, chunks(tar), labels)
    }
    let away = 2
    const { content } = box.backend
    const faulty: Backend = {
      ...box.backend,
      content: changed(content, {
        async *list() {
          if (away-- > 0) throw new LayercastError('CONTAINERD_UNREACHABLE', 'said by the test')
          yield* content.list()
        },
      }),
    }
    // The middle layer is uncompressed, so that its stand-in is itself.
    const uncompressed = {
      ...image,
      layers: image.layers.map((layer, n) => ({ ...layer, digest: digestOf(image.tars[n] ?? '') })),
    }
    const { result } = await run({}, uncompressed, faulty)
    expect((await result).layers.map(({ blob }) => blob?.from)).toEqual(['stand-in', 'here', 'stand-in'])
    expect(away).toBeLessThan(1)
  })

  test('the same layer twice is fetched once', async () => {
    const twice = buildImage({
      layers: [[dir('a'), file('a/b', 'x')], image.tars[0] ?? [], [dir('a'), file('a/b', 'x')]],
    })
    const other = await sandbox(twice)
    try {
      for (const digest of new Set(twice.layers.map((layer) => layer.digest)))
        await other.backend.content.remove(digest)
      const spec = await layout(twice, 'twice')
      const { result, fetched } = await run(
        { planned: planOf(twice, { snapshotter: SNAPSHOTTER }), blobs: { sources: [spec] } },
        twice,
        other.backend,
      )
      const origin = { from: 'source', spec }
      expect((await result).layers.map(({ blob }) => blob)).toEqual(twice.layers.map(() => origin))
      expect(fetched).toEqual([twice.layers[0]?.digest, twice.layers[1]?.digest])
    } finally {
      await other.close()
    }
  })

  test('a layer that a remote snapshotter was to take, and does not, comes from the same providers', async () => {
    const stargz = planOf(image, { snapshotter: SNAPSHOTTER, profile: 'stargz' })
    const spec = await layout(image, 'layout')
    const { result, events } = await run({ planned: stargz, blobs: { sources: [spec] } })
    expect((await result).layers.map(({ blob }) => blob)).toEqual(image.layers.map(() => ({ from: 'source', spec })))
    // Nobody knew before that it would be needed.
    expect(events.some(({ type }) => type === 'origin')).toBe(false)
    const none = await run({ planned: stargz, blobs: { sources: [`oci:${place.path('nowhere')}`] } })
    expect((await none.result).ready).toBe(true)
  })

  test('sources are asked in the order in which they are named', async () => {
    const [first, second, third] = image.layers
    const part = (...without: (Digest | undefined)[]): BuiltImage => ({
      ...image,
      blobs: new Map([...image.blobs].filter(([digest]) => !without.includes(digest))),
    })
    const one = await layout(part(second?.digest, third?.digest), 'one')
    const two = await layout(part(third?.digest), 'two')
    const three = await layout(image, 'three')
    const { result, events, fetched } = await run({ blobs: { sources: [one, two, three] } })
    const expected = [one, two, three].map((spec) => ({ from: 'source', spec }))
    expect((await result).layers.map(({ blob }) => blob)).toEqual(expected)
    expect(fetched).toEqual([first?.digest, second?.digest, third?.digest])
    // All of it is said before the first layer is begun.
    const said = events.flatMap((event) => (event.type === 'origin' ? [[event.digest, event.origin]] : []))
    expect(said).toEqual([first, second, third].map((layer, n) => [layer?.digest, expected[n]]))
    const types = events.map(({ type }) => type)
    expect(types.lastIndexOf('origin')).toBeLessThan(types.indexOf('lease'))
  })

  test('the error of the last provider is thrown, and why the others did not help is a warning', async () => {
    await writeDamagedLayout(image, place.path('damaged'), image.layers[0]?.digest ?? image.config.digest)
    const { result, events } = await run({
      blobs: { sources: [`oci:${place.path('nowhere')}`, `oci:${place.path('damaged')}`] },
    })
    expect(await failure(result)).toMatchObject({ code: 'DIGEST_MISMATCH' })
    const warnings = events.flatMap((event) => (event.type === 'warning' ? [event] : []))
    expect(warnings).toMatchObject([{ code: 'ORIGIN_REFUSED' }])
    expect(warnings[0]?.detail).toContain(place.path('nowhere'))
    expect(await leftovers(box.backend, SNAPSHOTTER)).toEqual([])
    // What came for other layers stays: the image refers to it.
    expect(await blobs(box.backend)).not.toContain(image.layers[0]?.digest)
  })

  test('the errors of the providers are kept under the one that names what is missing', async () => {
    const nowhere = `oci:${place.path('nowhere')}`
    const { result } = await run({ blobs: { sources: [nowhere] } })
    const error = await failure(result)
    expect(error).toMatchObject({ code: 'BLOB_NOT_FOUND', cause: { code: 'FILE_NOT_FOUND' } })
    const two = await run({ blobs: { sources: [nowhere, `${nowhere}2`] } })
    const { cause } = await failure(two.result)
    expect(cause).toBeInstanceOf(AggregateError)
    expect((cause as AggregateError).errors).toMatchObject([{ code: 'FILE_NOT_FOUND' }, { code: 'FILE_NOT_FOUND' }])
  })

  test('a run that is stopped while a source is asked ends at once', async () => {
    const stop = new AbortController()
    // It never answers.
    const server = createServer(() => stop.abort())
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    try {
      const address = server.address()
      const port = typeof address === 'object' && address ? address.port : 0
      const { result } = await run({ blobs: { sources: [`docker://127.0.0.1:${port}/app:1`] }, signal: stop.signal })
      expect(await failure(result)).toMatchObject({ code: 'ABORTED' })
    } finally {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    }
  }, 20_000)
})

async function* chunks(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}
