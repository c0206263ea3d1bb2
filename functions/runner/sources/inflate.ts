/** Compressed archives. */
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { invalid } from './errors.ts'
import { readAt, readPart } from './pread.ts'

/** The compression formats of archives, by their magic bytes. `tool` is for those that layercast does not inflate. */
const FORMATS = [
  { name: 'gzip', magic: [0x1f, 0x8b], create: createGunzip },
  { name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd], create: createZstdDecompress },
  { name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], tool: 'xz -d' },
  { name: 'bzip2', magic: [0x42, 0x5a, 0x68], tool: 'bzip2 -d' },
] as const

// Layers are mostly compressed already, so that a real archive shrinks a little only. The floor is for small ones of zeroes.
const MAX_RATIO = 100
const FLOOR_BYTES = 1 << 30

/** The compression format with these first bytes; undefined for none. */
export function compressionOf(first: Uint8Array): (typeof FORMATS)[number] | undefined {
  return FORMATS.find(({ magic }) => magic.every((byte, at) => first[at] === byte))
}

/**
 * The content of a compressed archive in a temporary file; undefined for a plain archive. The file is unlinked already, so
 * that it goes when it is closed, even after a kill. SOURCE_INVALID for an archive that is damaged, grows beyond MAX_RATIO, or
 * has a format that is not supported.
 * @param what the archive, for messages
 */
export async function inflateToTemporary(file: FileHandle, what: string): Promise<FileHandle | undefined> {
  const format = compressionOf(await readAt(file, 0, 8))
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
