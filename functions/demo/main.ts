/**
 * `npm run demo`: composes an image (or takes one, `npm run demo -- oci:DIR`), has it planned by the Worker under workerd,
 * unpacks it with the embedded backend, verifies it, and shows what is in it.
 */

import { mkdir, readFile, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { asLayercastError, renderError } from '../cli/program/failure.ts'
import { fields } from '../cli/program/table.ts'
import { bytes, count, duration } from '../cli/program/text.ts'
import { createClient } from '../contract/client.ts'
import { LayercastError } from '../errors.ts'
import { openEmbedded } from '../node/embedded/backend.ts'
import { plan } from '../plan/plan.ts'
import { importImage } from '../runner/images/import.ts'
import { inspecting, type SourceImage } from '../runner/images/inspect.ts'
import type { NamedImage } from '../runner/images/named-image.ts'
import { openSource } from '../runner/sources/open.ts'
import { isSpec } from '../runner/sources/spec.ts'
import { unpack } from '../runner/unpack/unpack.ts'
import { verifyChain } from '../runner/verify/verify.ts'
import { serve } from '../serve/serve.ts'
import { composeImage } from './compose.ts'
import { lookInside, mountCommand } from './root-fs.ts'
import { layerTable } from './show.ts'

const SNAPSHOTTER = 'overlayfs'
const checkout = fileURLToPath(new URL('../..', import.meta.url))
const place = join(checkout, '.demo')

try {
  await demo(process.argv[2])
} catch (error) {
  const failure = asLayercastError(error)
  process.stderr.write(renderError(failure, { json: false, verbose: process.argv.includes('--verbose') }))
  process.exitCode = failure.exit
}

async function demo(image: string | undefined): Promise<void> {
  if (image !== undefined && !isSpec(image)) {
    throw new LayercastError('USAGE', `${image} is not an image that the demo can take`, {
      fix: 'Write oci:DIR, oci-archive:FILE.tar, docker-archive:FILE.tar or docker://NAME, or nothing for one made of this machine.',
    })
  }
  await mkdir(place, { recursive: true, mode: 0o700 })
  const spec = image ?? `oci:${join(place, 'image')}`
  const made = image === undefined ? await compose() : []
  // Read before anything of the last run is removed: the image may lie there.
  const source = await openSource(spec)
  try {
    await makeReady(await inspecting(source)(), { made, name: image === undefined ? shown(spec) : spec })
  } finally {
    await source.close()
  }
}

async function makeReady(from: SourceImage, { made, name }: { made: string[]; name: string }): Promise<void> {
  await rm(join(place, 'node'), { recursive: true, force: true })
  say([['image', `${from.image.reference}  (${name})`]])

  const planned = await planOnWorker(from.image)
  const backend = await openEmbedded({ root: join(place, 'node') })
  try {
    await importImage({ backend, from, signal: new AbortController().signal })
    const result = await unpack({ backend, planned })
    process.stdout.write(`\n${layerTable(planned.plan, result, made)}\n`)
    const size = planned.plan.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0)
    const content = result.layers.reduce((sum, layer) => sum + layer.bytes, 0)
    say([
      [
        'unpacked',
        `${count(result.layers.length, 'layer')}, ${bytes(size)} packed, ${bytes(content)} unpacked, in ${duration(result.ms)}`,
      ],
    ])

    const report = await verifyChain({ backend, plan: planned.plan })
    if (!report.ok) {
      throw new LayercastError('VERIFICATION_FAILED', 'the chain is not as planned', { detail: { report } })
    }
    say([['verified', `every snapshot, parent and label is as planned; chain ID ${report.chainID}`]])

    const snapshotter = backend.snapshotter(SNAPSHOTTER)
    const mounts = await rootFsMounts(snapshotter, planned.plan.chainID)
    if (mounts.length > 0) {
      say([
        ['root fs', (await lookInside(mounts)) ?? 'it could not be mounted here, which takes root'],
        ['look at it', mountCommand(mounts, join(place, 'node', 'snapshots'))],
      ])
    }
    say([['or', `npx layercast snapshot tree --root ${shown(join(place, 'node'))}`]])
    say([['clean up', `rm -rf ${shown(place)}`]])
  } finally {
    await backend.close()
  }
}

async function compose(): Promise<string[]> {
  await rm(join(place, 'image'), { recursive: true, force: true })
  const { layers } = await composeImage({
    checkout,
    directory: join(place, 'image'),
    reference: 'localhost/layercast/demo:latest',
  })
  return layers
}

/** Plans on the Worker, and checks that the planner in this process gives the same bytes. */
async function planOnWorker(image: NamedImage): Promise<ReturnType<typeof plan>> {
  const data = join(place, 'server')
  const started = performance.now()
  const server = await serve({ root: data })
  try {
    const up = performance.now()
    const { reference, manifest, mediaType, config } = image
    const request = { reference, manifest, mediaType, config, snapshotter: SNAPSHOTTER }
    const token = (await readFile(server.operatorTokenFile, 'utf8')).trim()
    const planned = await createClient({ server: server.url, token }).plan(request)
    const done = performance.now()
    const here = plan(request)
    if (here.digest !== planned.digest) {
      throw new LayercastError(
        'DIGEST_MISMATCH',
        `the Worker's plan is ${planned.digest}, the one made here ${here.digest}`,
      )
    }
    say([
      ['worker', `${server.url}, under workerd, up in ${duration(up - started)}`],
      ['plan', `${planned.digest}`],
      ['', `by POST /v1/plans in ${duration(done - up)}; the same bytes as when planned here`],
    ])
    return planned
  } finally {
    await server.close()
    await rm(data, { recursive: true, force: true })
  }
}

/** The mounts of the image's root file system, read-only. The view that they are of is removed at once; its mounts stay valid. */
async function rootFsMounts(
  snapshotter: ReturnType<Awaited<ReturnType<typeof openEmbedded>>['snapshotter']>,
  chainID: string,
): Promise<Parameters<typeof mountCommand>[0]> {
  if (chainID === '') return []
  const key = `demo-${process.pid}`
  const mounts = await snapshotter.view(key, chainID, {})
  await snapshotter.remove(key)
  return mounts
}

function say(pairs: readonly (readonly [string, string])[]): void {
  process.stdout.write(fields(pairs.map(([name, value]) => [name.padEnd(10), value])))
}

function shown(path: string): string {
  const [scheme, rest] = path.startsWith('oci:') ? ['oci:', path.slice(4)] : ['', path]
  return scheme + (relative(process.cwd(), rest) || '.')
}
