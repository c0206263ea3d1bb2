import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Digest } from '../../../../functions/image/digest.ts'
import { smallImage } from '../../../runner/unpack/support/images.ts'
import type { BuiltImage } from '../../../support/images/image.ts'
import { writeOciLayout } from '../../../support/images/write.ts'
import { errorOf, type Ran } from '../../../support/layercast.ts'

export interface DamagedBlobsOptions {
  /** Runs the program against the node. */
  run: (args: string[]) => Promise<Ran>
  snapshotter: string
  /** Where the node keeps a blob's bytes. */
  fileOf: (digest: Digest) => string
}

const DAMAGES = {
  empty: (path: string) => truncate(path, 0),
  'cut short': async (path: string) => truncate(path, Math.floor((await readFile(path)).length / 2)),
  altered: async (path: string) => {
    const bytes = await readFile(path)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0x10
    await writeFile(path, bytes)
  },
  gone: (path: string) => rm(path),
}
type Damage = keyof typeof DAMAGES

let count = 0

/** What a user does about a blob whose bytes are not what its digest says, typed as it is printed. Mounts, so it needs root. */
export function damagedBlobs({ run, snapshotter, fileOf }: DamagedBlobsOptions): void {
  let directory: string
  let image: BuiltImage
  let name: string
  let source: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-damaged-'))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))
  beforeEach(async () => {
    image = smallImage(`damaged ${process.pid} ${++count}`)
    name = `example.com/damaged:${count}`
    const layout = join(directory, `layout-${count}`)
    source = `oci:${layout}`
    await writeOciLayout(image, layout)
    await succeeds('image', 'import', source, '--reference', name)
  })

  const succeeds = async (...args: string[]): Promise<Ran> => {
    const ran = await run(args)
    expect([args, ran.status, ran.stderr]).toEqual([args, 0, ''])
    return ran
  }
  const fails = async (...args: string[]) => {
    const ran = await run([...args, '-o', 'json'])
    expect([args, ran.status]).not.toEqual([args, 0])
    return errorOf(ran)
  }
  /** The commands that a fix names, each tried for its being there, and the first that fits typed in. */
  const typed = async (fix: string | undefined, verb: string): Promise<void> => {
    const commands = [...(fix ?? '').matchAll(/'layercast ([^']+)'/g)].map(([, command = '']) => command.split(' '))
    expect(commands.map((words) => words.slice(0, 2).join(' '))).toContain(verb)
    for (const words of commands) await succeeds(...words.slice(0, 2), '--help')
    const command = commands.find((words) => words.slice(0, 2).join(' ') === verb) ?? []
    await succeeds(...command.map((word) => (word === 'SOURCE' ? source : word)), '--reference', name)
  }
  const check = async (digest: Digest): Promise<void> => {
    await succeeds('content', 'check', digest)
    expect(Buffer.compare(await readFile(fileOf(digest)), Buffer.from(image.blobs.get(digest) ?? []))).toBe(0)
  }
  const removeChain = async (): Promise<void> => {
    await succeeds('snapshot', 'rm', '-s', snapshotter, '-r', image.chainIDs[0] ?? '')
  }

  const layers: [string, Damage, () => Digest][] = (Object.keys(DAMAGES) as Damage[]).map((damage) => [
    'layer',
    damage,
    () => image.layers[2]?.digest as Digest,
  ])
  test.each<[string, Damage, () => Digest]>([
    ...layers,
    ['config', 'altered', () => image.config.digest],
    ['config', 'gone', () => image.config.digest],
    ['manifest', 'empty', () => image.manifest.digest],
    ['manifest', 'altered', () => image.manifest.digest],
  ])('a %s that is %s is named, and healed by every way that is printed', async (_, damage, which) => {
    const digest = which()
    await DAMAGES[damage](fileOf(digest))

    const checked = await run(['content', 'check', digest, '-o', 'json'])
    expect(checked.status).toBe(5)
    expect(JSON.parse(checked.stdout.toString())).toMatchObject({ ok: false, blobs: [{ digest, images: [name] }] })

    const all = await fails('content', 'check')
    expect(all).toMatchObject({ code: 'VERIFICATION_FAILED', exit: 5 })
    expect(all.message).toContain(digest)
    expect(all.message).toContain(name)

    for (const verb of ['unpack', 'repair']) {
      const error = await fails(verb, name, '-s', snapshotter)
      expect([3, 5]).toContain(error.exit)
      expect(error.message).toContain(digest)
      expect(error.fix).toContain('--source')
    }
    await typed((await fails('unpack', name, '-s', snapshotter)).fix, 'image import')
    await check(digest)

    await DAMAGES[damage](fileOf(digest))
    await succeeds('unpack', name, '-s', snapshotter, '--source', source)
    await check(digest)
    await succeeds('verify', name, '-s', snapshotter, '--deep', '--contents')

    await removeChain()
    await DAMAGES[damage](fileOf(digest))
    await succeeds('repair', name, '-s', snapshotter, '--source', source)
    await check(digest)
    await succeeds('verify', name, '-s', snapshotter, '--deep', '--contents')
  })

  test('a repair heals what it does not unpack, so that the trees can be compared', async () => {
    await succeeds('unpack', name, '-s', snapshotter)
    const digest = image.layers[0]?.digest as Digest
    await DAMAGES.altered(fileOf(digest))
    const error = await fails('verify', name, '-s', snapshotter, '--deep')
    expect(error.exit).toBe(5)
    expect(error.fix).toContain('layercast image import SOURCE')
    const repaired = await succeeds('repair', name, '-s', snapshotter, '--deep', '--source', source)
    expect(repaired.stdout.toString()).toContain(`damaged blob ${digest}`)
    await check(digest)
  })

  test('apply heals the documents that its plan is compared with', async () => {
    const plan = join(directory, `plan-${count}.json`)
    await writeFile(plan, (await succeeds('plan', name, '-s', snapshotter, '-o', 'json')).stdout)
    await DAMAGES.altered(fileOf(image.config.digest))
    const error = await fails('apply', plan)
    expect(error).toMatchObject({ code: 'DIGEST_MISMATCH', exit: 5 })
    expect(error.fix).toContain('layercast image import SOURCE')
    await succeeds('apply', plan, '--source', source)
    await check(image.config.digest)
  })

  test('a source that is damaged in the same way changes nothing, and is named', async () => {
    const digest = image.layers[0]?.digest as Digest
    await DAMAGES.altered(fileOf(digest))
    const before = await readFile(fileOf(digest))
    await writeFile(join(source.slice('oci:'.length), 'blobs', digest.replace(':', '/')), before)
    for (const args of [
      ['unpack', name, '-s', snapshotter, '--source', source],
      ['repair', name, '-s', snapshotter, '--source', source],
      ['image', 'import', source, '--reference', name],
    ]) {
      expect([args, await fails(...args)]).toMatchObject([args, { code: 'DIGEST_MISMATCH', exit: 5 }])
    }
    expect(Buffer.compare(await readFile(fileOf(digest)), before)).toBe(0)
  })

  test('content ls, check and rm', async () => {
    const listed = JSON.parse((await succeeds('content', 'ls', '-o', 'json')).stdout.toString()) as { digest: string }[]
    expect(listed.map((blob) => blob.digest)).toEqual(expect.arrayContaining([...image.blobs.keys()]))
    expect((await succeeds('content', 'ls', '-q')).stdout.toString().trim().split('\n')).toEqual(
      listed.map((blob) => blob.digest),
    )
    expect((await succeeds('content', 'ls', '--labels')).stdout.toString()).toContain('gc.ref.content.config')
    const digest = image.layers[0]?.digest as Digest
    const refused = await fails('content', 'rm', digest)
    expect(refused).toMatchObject({ code: 'FAILED_PRECONDITION', exit: 1 })
    expect(refused.message).toContain(name)
    await succeeds('content', 'rm', digest, '--force', '--dry-run')
    await check(digest)
    await succeeds('content', 'rm', digest, '--force')
    expect(await fails('content', 'rm', digest)).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3 })
    expect(await fails('content', 'check', digest)).toMatchObject({ code: 'BLOB_NOT_FOUND', exit: 3 })
    expect(await fails('content', 'check', 'layer')).toMatchObject({ code: 'DIGEST_INVALID', exit: 2 })
    await succeeds('unpack', name, '-s', snapshotter, '--source', source)
  })
}
