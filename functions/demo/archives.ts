/** The layers of the demo's image, out of files that this machine has. */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { constants, gunzip, gzip, zstdCompress } from 'node:zlib'
import { namesBelow } from './names.ts'

/** A layer: its blob as it goes into the image, and the tar inside. */
export interface LayerArchive {
  /** What it is made of, in words. */
  what: string
  mediaType: string
  blob: Uint8Array
  tar: Uint8Array
}

const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip'
const ZSTD = 'application/vnd.oci.image.layer.v1.tar+zstd'

/** What the first layer takes from this machine: enough for a shell, with symbolic and hard links, a setuid file and a sticky directory. */
const MACHINE = {
  trees: ['etc/alternatives', 'usr/share/zoneinfo'],
  entries: [
    'bin',
    'lib',
    'lib64',
    'sbin',
    'tmp',
    'var/mail',
    'etc/os-release',
    'etc/passwd',
    'etc/group',
    'usr/lib/os-release',
  ],
  programs: ['sh', 'dash', 'bash', 'ls', 'cat', 'env', 'id', 'passwd', 'su', 'perl', 'gunzip', 'uncompress'],
  /** The libraries that those programs load. */
  libraries: /^(?:ld-linux.*|lib(?:c|m|crypt|dl|pthread|tinfo|selinux|pcre2-8)\.so.*)$/u,
  libraryPlaces: ['usr/lib64', 'usr/lib/x86_64-linux-gnu', 'usr/lib/aarch64-linux-gnu'],
}

/** A layer of the machine's own files, with their names, links, modes and owners. */
export async function machineLayer(): Promise<LayerArchive> {
  const names = new Set<string>()
  const add = (name: string): void => {
    const parts = name.split('/')
    for (let depth = 1; depth <= parts.length; depth++) names.add(parts.slice(0, depth).join('/'))
  }
  for (const name of [...MACHINE.entries, ...MACHINE.programs.map((program) => `usr/bin/${program}`)]) {
    if (existsSync(`/${name}`)) add(name)
  }
  for (const place of MACHINE.libraryPlaces) {
    if (!existsSync(`/${place}`)) continue
    for (const name of await readdir(`/${place}`)) if (MACHINE.libraries.test(name)) add(`${place}/${name}`)
  }
  for (const tree of MACHINE.trees) {
    if (!existsSync(`/${tree}`)) continue
    for (const name of await namesBelow('/', tree)) add(name)
  }
  // perl has two names on Debian, which gives the layer a hard link.
  for (const name of await readdir('/usr/bin')) {
    if (name.startsWith('perl') && (await lstat(`/usr/bin/${name}`)).nlink > 1) add(`usr/bin/${name}`)
  }
  const tar = await writeTar('/', [...names].sort())
  return { what: "this machine's files", mediaType: GZIP, blob: await promisify(gzip)(tar), tar }
}

/**
 * One layer for each of these packages that npm has installed here: the tarball that npm downloaded, byte for byte, where
 * npm's cache still has it, else the installed directory packed again.
 */
export async function packageLayers(checkout: string, names: readonly string[]): Promise<LayerArchive[]> {
  const lock = JSON.parse(await readFile(join(checkout, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; integrity?: string } | undefined>
  }
  const layers: LayerArchive[] = []
  for (const name of names) {
    const locked = lock.packages[`node_modules/${name}`]
    const place = join(checkout, 'node_modules', name)
    if (locked === undefined || !existsSync(place)) continue
    const what = `${name} ${locked.version}`
    const cached = await fromCache(locked.integrity)
    if (cached) {
      layers.push({ what, mediaType: GZIP, blob: cached, tar: await promisify(gunzip)(cached) })
    } else {
      const tar = await writeTar(place, ['.'], ['--transform=s,^\\.,package,'])
      layers.push({ what, mediaType: GZIP, blob: await promisify(gzip)(tar), tar })
    }
  }
  return layers
}

/** A last layer that adds files, and deletes a file and a directory of the layers below. */
export async function changesLayer(): Promise<LayerArchive> {
  const place = await mkdtemp(join(tmpdir(), 'layercast-changes-'))
  try {
    for (const dir of ['etc', 'package', 'usr/share/zoneinfo', 'srv'])
      await mkdir(join(place, dir), { recursive: true })
    await writeFile(join(place, 'etc/motd'), 'Made ready by layercast.\n')
    await writeFile(join(place, 'srv/index.html'), '<!doctype html><title>layercast</title>\n')
    await writeFile(join(place, 'package/.wh.LICENSE'), '')
    await writeFile(join(place, 'usr/share/zoneinfo/.wh.Antarctica'), '')
    const tar = await writeTar(place, ['.'], ['--mtime=@0', '--owner=0', '--group=0', '--mode=u=rwX,go=rX'])
    const blob = await promisify(zstdCompress)(tar, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
    return { what: 'changes and deletions', mediaType: ZSTD, blob, tar }
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}

/** A tarball out of npm's cache, which keeps it under the digest that the lock file names. The digest is checked. */
async function fromCache(integrity: string | undefined): Promise<Uint8Array | undefined> {
  const [algorithm, value] = integrity?.split('-') ?? []
  if (algorithm !== 'sha512' || value === undefined) return undefined
  const hex = Buffer.from(value, 'base64').toString('hex')
  const cache = process.env['npm_config_cache'] ?? join(homedir(), '.npm')
  const file = join(cache, '_cacache', 'content-v2', 'sha512', hex.slice(0, 2), hex.slice(2, 4), hex.slice(4))
  if (!existsSync(file)) return undefined
  const bytes = await readFile(file)
  return createHash('sha512').update(bytes).digest('hex') === hex ? bytes : undefined
}

async function writeTar(from: string, names: readonly string[], extra: readonly string[] = []): Promise<Uint8Array> {
  const recursion = names.length > 1 ? ['--no-recursion'] : []
  const running = promisify(execFile)(
    'tar',
    [
      '--create',
      '--format=pax',
      '--pax-option=delete=atime,delete=ctime',
      '--sort=name',
      '--numeric-owner',
      ...extra,
      ...recursion,
      '--null',
      '--verbatim-files-from',
      '--files-from=-',
    ],
    { cwd: from, encoding: 'buffer', maxBuffer: 1024 ** 3 },
  )
  running.child.stdin?.end(names.map((name) => `${name}\0`).join(''))
  return (await running).stdout
}
