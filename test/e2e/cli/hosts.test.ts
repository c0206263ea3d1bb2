/** Registries as hosts.toml says, asked as ctr asks them. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSource } from '../../../functions/runner/sources/open.ts'
import { startFront, type Front, type Handler } from '../../runner/sources/support/http-front.ts'
import { readAll } from '../../runner/sources/support/sources.ts'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import { dir, file } from '../../support/images/entries.ts'
import { buildImage } from '../../support/images/image.ts'

const image = buildImage({ layers: [[dir('etc'), file('etc/one', '1')], [file('etc/two', '2')]] })
const NAME = 'registry.invalid:5000/team/app:1'

const registry: Handler = (request, response) => {
  const [, reference = ''] = /\/(?:manifests|blobs)\/([^/?]+)/.exec(request.url ?? '') ?? []
  const digest = reference === '1' ? image.manifest.digest : reference
  const body =
    digest === image.manifest.digest ? image.manifestBytes : [...image.blobs].find(([one]) => one === digest)?.[1]
  if (body === undefined) return void response.writeHead(404).end()
  const type = digest === image.manifest.digest ? image.manifest.mediaType : 'application/octet-stream'
  response.writeHead(200, { 'content-type': type, 'content-length': body.length, 'docker-content-digest': digest })
  response.end(request.method === 'HEAD' ? undefined : body)
}
const nothing: Handler = (_, response) => void response.writeHead(404, { 'content-length': 0 }).end()

await describeContainerd('hosts.toml', (version) => {
  let containerd: TestContainerd
  let root = ''
  let fronts: Record<'empty' | 'pulling' | 'full', Front>
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'layercast-hosts-'))
    const section = version.startsWith('1.') ? 'io.containerd.grpc.v1.cri' : 'io.containerd.cri.v1.images'
    const config = `[plugins."${section}".registry]\nconfig_path = ${JSON.stringify(root)}`
    containerd = await startContainerd({ version, config })
    fronts = { empty: await startFront(nothing), pulling: await startFront(registry), full: await startFront(registry) }
  })
  afterAll(async () => {
    for (const front of Object.values(fronts ?? {})) await front.close()
    rmSync(root, { recursive: true, force: true })
    await containerd?.stop()
  })

  /** The requests of each host without their methods, since ctr resolves tags by HEAD. */
  const asked = async (work: () => Promise<unknown>): Promise<Record<string, string[]>> => {
    for (const front of Object.values(fronts)) front.seen.length = 0
    await work()
    return Object.fromEntries(
      Object.entries(fronts).map(([name, { seen }]) => [name, [...new Set(seen.map(({ url }) => url))].toSorted()]),
    )
  }

  test('leads where it leads ctr', async () => {
    mkdirSync(join(root, 'registry.invalid_5000_'))
    writeFileSync(
      join(root, 'registry.invalid_5000_', 'hosts.toml'),
      `server = "http://${fronts.full.host}/some/where"\noverride_path = true\n` +
        `[host."http://${fronts.empty.host}"]\n` +
        `[host."http://${fronts.pulling.host}/below"]\ncapabilities = ["pull"]\nskip_verify = true\n`,
    )
    const theirs = await asked(() => containerd.ctr('images', 'pull', '--hosts-dir', root, NAME))
    // The daemon's own configuration, which is not in the default place, says where hosts.toml is.
    const backend = await containerd.connect()
    const ours = await asked(async () => {
      const source = await openSource(`docker://${NAME}`, backend)
      try {
        expect(source.target).toEqual(image.manifest)
        for (const one of [image.config, ...image.layers]) await readAll(source, one)
      } finally {
        await source.close()
      }
    })
    // ctr fetches the manifest a second time, by its digest.
    const blobsAndTags = (all: Record<string, string[]>): Record<string, string[]> =>
      Object.fromEntries(
        Object.entries(all).map(([name, urls]) => [name, urls.filter((url) => !/manifests\/sha/.test(url))]),
      )
    expect(blobsAndTags(ours)).toEqual(blobsAndTags(theirs))
    expect(ours['full']).toEqual(['/some/where/team/app/manifests/1?ns=registry.invalid%3A5000'])
  })
})
