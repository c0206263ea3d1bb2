import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Descriptor } from '../../../../functions/image/descriptor.ts'
import type { Digest } from '../../../../functions/image/digest.ts'
import { freePort } from '../../../support/free-port.ts'
import type { BuiltImage } from '../../../support/images/image.ts'

/** Debian's docker-registry (distribution 2.8), if it is there. */
export const registryProgram = ['docker-registry', 'registry'].find(
  (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0,
)

/** The account of a registry that wants one. The password has a colon, which a name could not have. */
export const ACCOUNT = { username: 'someone', password: 's3cret:word' }
const HTPASSWD = 'someone:$2b$04$iEAmQZOXJCY73Yn7WU2cGOIzB4XAKoq36tMiwvT6.7zPZO3lqVBVu'

export interface Peer {
  /** `127.0.0.1:PORT` */
  host: string
  /** Ends it; `start` brings it up again with what it has. */
  stop(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

/** Starts a private registry with nothing in it, on a port of its own. */
export async function startRegistry(options: { account?: boolean } = {}): Promise<Peer> {
  if (registryProgram === undefined) throw new Error('docker-registry is not installed')
  const root = mkdtempSync(join(tmpdir(), 'layercast-registry-'))
  const host = `127.0.0.1:${await freePort()}`
  writeFileSync(join(root, 'htpasswd'), HTPASSWD)
  const auth = options.account ? `auth:\n  htpasswd:\n    realm: test\n    path: ${root}/htpasswd\n` : ''
  writeFileSync(
    join(root, 'config.yml'),
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${root}/data}, delete: {enabled: true}}\n` +
      `http: {addr: '${host}', secret: test}\n${auth}`,
  )
  const program = registryProgram
  let stop = async (): Promise<void> => {}
  const start = async (): Promise<void> => {
    const child = spawn(program, ['serve', join(root, 'config.yml')], { stdio: 'ignore' })
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    stop = async () => {
      child.kill('SIGKILL')
      await exited
    }
    for (let tries = 0; !(await answers(host)); tries++) {
      if (tries > 100 || child.exitCode !== null) throw new Error('docker-registry does not start')
      await sleep(50)
    }
  }
  const close = async (): Promise<void> => {
    await stop()
    rmSync(root, { recursive: true, force: true })
  }
  await start().catch(async (error: unknown) => {
    await close()
    throw error
  })
  return { host, stop: () => stop(), start, close }
}

async function answers(host: string): Promise<boolean> {
  return await fetch(`http://${host}/v2/`).then(
    () => true,
    () => false,
  )
}

/** Pushes an image, blobs first. */
export async function push(host: string, image: BuiltImage, name: string, tag: string): Promise<void> {
  const headers = { authorization: `Basic ${btoa(`${ACCOUNT.username}:${ACCOUNT.password}`)}` }
  for (const { digest } of [image.config, ...image.layers]) {
    await pushBlob(host, name, digest, image.blobs.get(digest), headers)
  }
  const type = { ...headers, 'content-type': image.manifest.mediaType }
  const body = new Uint8Array(image.manifestBytes)
  await expectStatus(201, fetch(`http://${host}/v2/${name}/manifests/${tag}`, { method: 'PUT', headers: type, body }))
}

/** Pushes whatever a descriptor leads to: the manifests of an index, their blobs first. */
export async function pushTree(
  host: string,
  tree: { target: Descriptor; blobs: ReadonlyMap<Digest, Uint8Array> },
  name: string,
  tag: string,
): Promise<void> {
  const { target, blobs } = tree
  const bytes = new Uint8Array(blobs.get(target.digest) ?? [])
  const document = JSON.parse(new TextDecoder().decode(bytes)) as {
    manifests?: Descriptor[]
    config?: Descriptor
    layers?: Descriptor[]
  }
  for (const child of document.manifests ?? []) await pushTree(host, { ...tree, target: child }, name, child.digest)
  const below = document.config === undefined ? [] : [document.config, ...(document.layers ?? [])]
  for (const { digest } of below) await pushBlob(host, name, digest, blobs.get(digest))
  const headers = { 'content-type': target.mediaType }
  const place = `http://${host}/v2/${name}/manifests/${tag}`
  await expectStatus(201, fetch(place, { method: 'PUT', headers, body: bytes }))
}

async function pushBlob(
  host: string,
  name: string,
  digest: Digest,
  data: Uint8Array | undefined,
  headers: Record<string, string> = {},
): Promise<void> {
  const started = await fetch(`http://${host}/v2/${name}/blobs/uploads/`, { method: 'POST', headers })
  const place = new URL(started.headers.get('location') ?? '', `http://${host}`)
  place.searchParams.set('digest', digest)
  await expectStatus(201, fetch(place, { method: 'PUT', headers, body: new Uint8Array(data ?? []) }))
}

async function expectStatus(status: number, answer: Promise<Response>): Promise<void> {
  const response = await answer
  if (response.status !== status) throw new Error(`${response.status} ${await response.text()}`)
}
