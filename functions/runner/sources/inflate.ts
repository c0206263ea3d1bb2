import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { invalid } from './errors.ts'
import { readExactly, readPart } from './pread.ts'

/** How archives are compressed, told by their first bytes. */
const FORMATS = [
  { name: 'gzip', magic: [0x1f, 0x8b], create: createGunzip },
  { name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd], create: createZstdDecompress },
  { name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], tool: 'xz -d' },
  { name: 'bzip2', magic: [0x42, 0x5a, 0x68], tool: 'bzip2 -d' },
] as const

// An archive of layers, most of them compressed, shrinks a little; the floor is for small ones made of zeroes.
const MAX_RATIO = 100
const FLOOR_BYTES = 1 << 30

/** How these first bytes are compressed; undefined for those of a plain tar. */
export function compressionOf(first: Uint8Array): (typeof FORMATS)[number] | undefined {
  return FORMATS.find(({ magic }) => magic.every((byte, at) => first[at] === byte))
}

/**
 * A compressed archive's content in a file that has no name any more, so that nothing of it stays behind; undefined for
 * a plain one. SOURCE_INVALID for what is damaged, grows beyond all measure, or is compressed in another way.
 */
export async function inflateToTemporary(file: FileHandle, what: string): Promise<FileHandle | undefined> {
  const format = compressionOf(await readExactly(file, 0, 8))
  if (format === undefined) return undefined
  if ('tool' in format)
    throw invalid(what, `is compressed with ${format.name}`, `Unpack it with \`${format.tool}\` first.`)
  const { size } = await file.stat()
  const limit = Math.max(FLOOR_BYTES, size * MAX_RATIO)
  const target = await temporaryFile()
  try {
    let written = 0
    await pipeline(readPart(file, 0, size), format.create(), async (inflated: AsyncIterable<Buffer>) => {
      for await (const chunk of inflated) {
        written += chunk.length
        if (written > limit)
          throw invalid(what, `grows to more than ${limit} bytes`, 'Unpack it by hand if it is yours.')
        await target.writeFile(chunk)
      }
    })
    return target
  } catch (error) {
    await target.close()
    const { code } = error as NodeJS.ErrnoException
    if (/^(Z_|ZSTD_|ERR_ZLIB|ERR_ZSTD)/.test(code ?? '')) {
      throw invalid(what, `is damaged: its ${format.name} stream does not inflate`, undefined, error)
    }
    throw error
  }
}

async function temporaryFile(): Promise<FileHandle> {
  const directory = await mkdtemp(join(tmpdir(), 'layercast-archive-'))
  try {
    return await open(join(directory, 'archive.tar'), 'wx+', 0o600)
  } finally {
    await rm(directory, { recursive: true })
  }
}
