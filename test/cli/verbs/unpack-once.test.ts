/** An unpack opens a source once, reads each of its blobs once, and asks the node no question twice. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Context } from '../../../functions/cli/program/context.ts'
import { unpackVerb } from '../../../functions/cli/verbs/unpack.ts'
import type { Digest } from '../../../functions/image/digest.ts'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import type { Backend } from '../../../functions/node/ports.ts'
import type * as inflate from '../../../functions/runner/sources/inflate.ts'
import type * as open from '../../../functions/runner/sources/open.ts'
import { startFront } from '../../runner/sources/support/http-front.ts'
import { smallImage } from '../../runner/unpack/support/images.ts'
import { intercept, type Call } from '../../runner/unpack/support/intercept.ts'
import { REFERENCE } from '../../runner/unpack/support/plans.ts'
import { store } from '../../runner/unpack/support/stores.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { writeDockerArchive, writeOciArchive, writeOciLayout } from '../../support/images/write.ts'

const { opened, read, inflated } = vi.hoisted(() => ({
  opened: [] as string[],
  read: [] as string[],
  inflated: [] as string[],
}))
vi.mock('../../../functions/runner/sources/open.ts', async (original) => {
  const module = await original<typeof open>()
  const openSource: typeof open.openSource = async (spec, node) => {
    opened.push(spec)
    const source = await module.openSource(spec, node)
    return {
      ...source,
      read(blob, range) {
        read.push(blob.digest)
        return source.read(blob, range)
      },
    }
  }
  return { ...module, openSource }
})
vi.mock('../../../functions/runner/sources/inflate.ts', async (original) => {
  const module = await original<typeof inflate>()
  const inflateToTemporary: typeof inflate.inflateToTemporary = async (file, what) => {
    const plain = await module.inflateToTemporary(file, what)
    if (plain !== undefined) inflated.push(what)
    return plain
  }
  return { ...module, inflateToTemporary }
})

const image = smallImage('once')
let directory: string
let backend: Backend
let calls: string[]
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'layercast-once-'))
  backend = await openEmbedded({ root: join(directory, 'root') })
  calls = []
  for (const list of [opened, read, inflated]) list.length = 0
})
afterEach(async () => {
  await backend.close()
  await rm(directory, { recursive: true })
})

/** Runs the verb over a backend whose calls are noted. */
async function unpack(name: string, options: { dryRun?: boolean; repair?: boolean } = {}): Promise<void> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() }) as unknown as NodeJS.WriteStream
  const ends: (() => Promise<void>)[] = []
  const note = ({ name: call, args }: Call) => void calls.push(`${call} ${idOf(args[0])}`)
  const watched = intercept(
    backend,
    (call, goOn) => {
      note(call)
      return goOn()
    },
    note,
  )
  const context: Context = {
    globals: {} as Context['globals'],
    json: true,
    makesPlace: true,
    env: {},
    stdin: (async function* () {})(),
    streams: { stdin: process.stdin, stdout: nowhere, stderr: nowhere } as unknown as Context['streams'],
    signal: new AbortController().signal,
    show: async () => undefined,
    note: () => undefined,
    detail: () => undefined,
    backend: async () => watched,
    defer: (end) => void ends.push(end),
  }
  try {
    await unpackVerb.run(context, {
      args: { IMAGE: name },
      options: {
        snapshotter: 'overlayfs',
        platform: 'linux/amd64',
        runtimeHandler: [],
        allHandlers: false,
        ...options,
      },
    })
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}

const idOf = (argument: unknown): string =>
  typeof argument === 'string' ? argument : String((argument as { digest?: Digest } | undefined)?.digest ?? '')
const twice = (list: readonly string[]): string[] => list.filter((one, at) => list.indexOf(one) !== at)

const sources: Record<string, () => Promise<string>> = {
  async 'an OCI layout'() {
    await writeOciLayout(image, join(directory, 'layout'), { ref: REFERENCE })
    return `oci:${join(directory, 'layout')}`
  },
  async 'an OCI archive'() {
    await writeOciArchive(image, join(directory, 'oci.tar'), { ref: REFERENCE })
    return `oci-archive:${join(directory, 'oci.tar')}`
  },
  async 'a docker archive'() {
    await writeDockerArchive(image, join(directory, 'docker.tar'), { tags: [REFERENCE] })
    return `docker-archive:${join(directory, 'docker.tar')}`
  },
  async 'a compressed docker archive'() {
    await writeDockerArchive(image, join(directory, 'docker.tar'), { tags: [REFERENCE] })
    await writeFile(join(directory, 'docker.tar.gz'), gzipSync(await readFile(join(directory, 'docker.tar'))))
    return `docker-archive:${join(directory, 'docker.tar.gz')}`
  },
}

describe.each(Object.entries(sources))('%s', (kind, make) => {
  test.each([{}, { repair: true }])('is opened once and read once: %j', async (options) => {
    await unpack(await make(), options)
    expect(opened).toHaveLength(1)
    expect(inflated).toHaveLength(kind.includes('compressed') ? 1 : 0)
    expect(twice(read)).toEqual([])
    expect(read).toHaveLength(image.layers.length + 2)
    expect((await backend.images.get(REFERENCE)).name).toBe(REFERENCE)
  })

  test('is opened once by a dry run, which reads no layer', async () => {
    await unpack(await make(), { dryRun: true })
    expect(opened).toHaveLength(1)
    expect(read).toHaveLength(2)
  })
})

test('a registry is asked for each manifest and each blob once', async () => {
  const registry = await startRegistry(image)
  try {
    await unpack(`docker://${registry.host}/team/app:1`)
    expect(opened).toHaveLength(1)
    const asked = registry.seen.map(({ method, url }) => `${method} ${url}`)
    expect(twice(asked)).toEqual([])
    expect(asked).toHaveLength(image.layers.length + 2)
  } finally {
    await registry.close()
  }
})

/** A registry of one image, by tag and by digest. */
async function startRegistry({ blobs, manifest }: BuiltImage) {
  return await startFront((_request, response, { url }) => {
    const name = url.slice(url.lastIndexOf('/') + 1)
    const digest = (name === '1' ? manifest.digest : name) as Digest
    const type = digest === manifest.digest ? manifest.mediaType : 'application/octet-stream'
    response.writeHead(blobs.has(digest) ? 200 : 404, { 'content-type': type }).end(blobs.get(digest))
  })
}

describe('the node', () => {
  test('is asked once before anything is changed', async () => {
    await store(backend, image)
    await unpack(REFERENCE)
    const before = calls.slice(
      0,
      calls.findIndex((call) => call.startsWith('leases.create')),
    )
    expect(before.length).toBeGreaterThan(0)
    // The config is one of the documents that the plan is made of, and has the label that says whether the chain is whole.
    expect(twice(before)).toEqual([`content.info ${image.config.digest}`])
  })

  test('is asked for the image and its snapshots once more where the image is in a source', async () => {
    await unpack(await sources['an OCI layout']!())
    // Whether the snapshotter is there at all, before the import; and the whole chain, before it is labelled.
    const [base = ''] = image.chainIDs
    expect(twice(calls.filter((call) => call.startsWith('snapshotter.stat'))).toSorted()).toEqual(
      [base, ...image.chainIDs].map((id) => `snapshotter.stat ${id}`).toSorted(),
    )
    expect(calls.filter((call) => /^(?:content\.list|images\.(?:get|list)|snapshotters) /.test(call))).toEqual([])
  })
})
