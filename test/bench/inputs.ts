/** Layers made of this machine's own files. */
import { spawnSync } from 'node:child_process'
import { createHash, hash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'

/** What a layer may be made of, as tar, with its two compressed forms and its diff ID. */
export interface Input {
  readonly name: string
  readonly tar: Uint8Array
  /** gzip at level 6, as image builders write it. */
  readonly gzip: Uint8Array
  /** zstd at level 3, one frame with its checksum and content size. */
  readonly zstd: Uint8Array
  readonly sha256: string
}

const MEGABYTE = 1_000_000

interface Kind {
  readonly name: string
  /** Whether a file belongs to this kind. */
  takes(path: string, size: number): boolean
  readonly bytes: number
}

/** Already compressed files are left out of the small ones: they would be copied, not decoded. */
const COMPRESSED = /\.(gz|xz|bz2|zst|zip|png|jpg|gif|woff2?|whl)$/

const KINDS: readonly Kind[] = [
  { name: 'files of all kinds', takes: (_, size) => size < 8 * MEGABYTE, bytes: 96 * MEGABYTE },
  {
    name: 'machine code',
    takes: (path, size) => size > 20_000 && size < 16 * MEGABYTE && isELF(path),
    bytes: 96 * MEGABYTE,
  },
  { name: 'many small files', takes: (path, size) => size < 8_000 && !COMPRESSED.test(path), bytes: 64 * MEGABYTE },
]

function isELF(path: string): boolean {
  const file = openSync(path, 'r')
  try {
    const magic = Buffer.alloc(4)
    return readSync(file, magic) === 4 && magic.readUInt32BE() === 0x7f454c46
  } finally {
    closeSync(file)
  }
}

/** The machine's own /usr, in an order that depends on the names only: a fair sample of any length. */
export function* files(): Generator<{ path: string; size: number }> {
  const found: { path: string; order: string }[] = []
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.isFile()) found.push({ path, order: hash('sha1', path) })
    }
  }
  walk('/usr')
  found.sort((a, b) => (a.order < b.order ? -1 : 1))
  for (const { path } of found) yield { path, size: statSync(path).size }
}

function archive(kind: Kind): Uint8Array {
  const chosen: string[] = []
  let total = 0
  for (const { path, size } of files()) {
    if (total >= kind.bytes) break
    if (!kind.takes(path, size)) continue
    chosen.push(path)
    total += Math.ceil(size / 512) * 512 + 512
  }
  const { stdout, status, stderr } = spawnSync(
    'tar',
    [
      '--create',
      '--no-recursion',
      '--verbatim-files-from',
      '--files-from=-',
      '--file=-',
      '--absolute-names',
      '--sort=none',
      '--format=gnu',
    ],
    { input: chosen.sort().join('\n'), maxBuffer: 2 ** 30 },
  )
  if (status !== 0) throw new Error(`tar failed: ${stderr.toString()}`)
  return stdout
}

/** Made once and kept in the system's temporary directory, since compressing takes longer than measuring. */
export function inputs(): Input[] {
  const directory = join(tmpdir(), 'layercast-bench')
  mkdirSync(directory, { recursive: true })
  return KINDS.map((kind) => {
    const stem = join(directory, `${kind.name.replaceAll(' ', '-')}-${kind.bytes}`)
    const tar = kept(`${stem}.tar`, () => archive(kind))
    return {
      name: kind.name,
      tar,
      gzip: kept(`${stem}.tar.gz`, () => gzipSync(tar, { level: 6 })),
      zstd: kept(`${stem}.tar.zst`, () =>
        zstdCompressSync(tar, {
          params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 },
        }),
      ),
      sha256: createHash('sha256').update(tar).digest('hex'),
    }
  })
}

function kept(path: string, make: () => Uint8Array): Uint8Array {
  if (!existsSync(path)) {
    const part = `${path}.${process.pid}`
    writeFileSync(part, make())
    renameSync(part, path)
  }
  return readFileSync(path)
}
